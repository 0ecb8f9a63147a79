"""Plan a study: its config, its runs, and the programs that carry them out."""
