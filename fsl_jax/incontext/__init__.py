"""Asking a language model as it is, with or without demonstrations in the prompt."""
