"""Read the formats of files, one in each module, into rows with all their columns."""
