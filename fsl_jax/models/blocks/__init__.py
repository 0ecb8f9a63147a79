"""Building blocks that all families share: layers with every hook that a method uses, and heads."""
