"""Side-by-side measurements against peers, in one invocation."""
