"""Adapters as directories: saving, loading and exporting."""
