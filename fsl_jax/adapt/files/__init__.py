"""Adapters as directories: save, load and export."""
