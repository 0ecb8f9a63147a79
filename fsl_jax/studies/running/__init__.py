"""Carrying out the programs of a study."""
