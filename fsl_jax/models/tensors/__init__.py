"""Tensors of checkpoints: their names, their files, and their placement on devices."""
