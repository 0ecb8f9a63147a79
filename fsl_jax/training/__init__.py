"""Training many runs in one compiled program, and keeping what was done."""
