"""Classify by prompting a frozen language model, with or without demonstrations."""
