"""Draw the examples of few-shot splits: by class, as few as cover all labels, or at random."""
