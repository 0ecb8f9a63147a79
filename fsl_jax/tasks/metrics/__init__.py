"""Metrics, one concept a file; large libraries are imported when they are needed."""
