"""Whole checkpoints: directories, GGUF files, heads, exports and the cache."""
