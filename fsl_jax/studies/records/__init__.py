"""The files in which a study records its work."""
