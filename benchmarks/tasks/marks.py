"""The marks in docs/tasks.md between which the script writes."""

SECTIONS = ("<!-- tasks -->", "<!-- end of tasks -->")
TABLE = ("<!-- families -->", "<!-- end of families -->")
