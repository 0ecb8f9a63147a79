"""Tensors of checkpoints: their names, their files, and their place on devices."""
