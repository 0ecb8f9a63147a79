"""Studies: plan runs, group them into programs, select on validation data, and report."""
