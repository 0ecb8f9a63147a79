"""Analysis of learned prompts."""
