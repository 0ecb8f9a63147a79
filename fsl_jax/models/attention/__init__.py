"""Attention: implementations, masks and positions."""
