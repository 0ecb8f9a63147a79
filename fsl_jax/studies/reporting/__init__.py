"""From records to the table, the pictures and the report."""
