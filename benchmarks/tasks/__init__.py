"""The page of tasks: what each one is, and which models and methods serve it."""
