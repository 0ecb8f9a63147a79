"""Generating text: settings, reading, choosing tokens, beam search, stopping, and the whole."""
