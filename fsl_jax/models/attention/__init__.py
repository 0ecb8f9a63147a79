"""Attention: its implementations, masks and positions."""
