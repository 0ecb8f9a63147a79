"""GGUF files: reader, number formats, vocabulary and tokenizers."""
