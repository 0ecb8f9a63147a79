"""The files in which a study records what it did."""
