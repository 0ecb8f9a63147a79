"""Carry out the programs of a study."""
