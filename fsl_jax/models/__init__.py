"""Pretrained models: one file a family, the layers with every hook, weights in and out."""
