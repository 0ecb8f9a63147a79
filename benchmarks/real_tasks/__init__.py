"""Training of tasks beyond classification, here and in the peer, and the padding of every task."""
