"""T5, T5 1.1, FLAN-T5 and mT5."""
