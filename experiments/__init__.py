"""Scripts: flags in, the library called, files out."""
