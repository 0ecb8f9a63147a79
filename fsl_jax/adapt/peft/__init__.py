"""Adapters in PEFT's format: one file for each kind, and their shared parts."""
