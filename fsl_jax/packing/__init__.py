"""Rows that hold several examples: where each example stands, and what a step gathers."""
