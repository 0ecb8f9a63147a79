"""Building blocks that all families share: heads, and layers with hooks for added leaves."""
