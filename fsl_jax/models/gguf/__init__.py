"""GGUF files: metadata, tensors in their number formats, and tokenizers."""
