"""Ask a frozen language model by a prompt, with or without demonstrations."""
