"""Train many runs in one compiled program, and save their state."""
