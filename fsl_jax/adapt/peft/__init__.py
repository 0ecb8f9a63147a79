"""Adapters as PEFT keeps them: one file for each kind, and what they have in common."""
