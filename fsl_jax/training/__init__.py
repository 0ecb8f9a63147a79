"""Trains many runs in one compiled program, and saves their state."""
