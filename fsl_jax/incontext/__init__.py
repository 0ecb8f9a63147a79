"""Classifies by prompts to a frozen language model, with or without demonstrations in them."""
