"""Scripts that read flags, call the library, and write files."""
