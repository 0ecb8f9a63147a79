"""What a study asks, and which runs and programs answer it."""
