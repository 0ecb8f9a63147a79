"""Outputs of commands: names made from user text, checks, and locks."""
