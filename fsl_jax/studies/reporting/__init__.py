"""Make the table, the plots and the report from records."""
