"""The examples of a program as flat arrays, in which each segment is a range of tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import struct

# The fields below are leaves of pytrees, so annotations cannot be checked as shapes.


@struct.dataclass
class Pool:
    """E examples with M tokens in all, on the host or on devices.

    Each example has W segments: example `e` has the segments from `e * W` on. Those that it does
    not need have no tokens.

    Attributes:
      tokens: the token ids of all segments, one after the other, int32 `[M]`.
      begins: the number of each segment's first token, int32 `[S]`, with `S = E * W`.
      lengths: the number of each segment's tokens, int32 `[S]`.
      targets: what is to be predicted: an array `[E, ...]`, or a tree of such.
      features: what a formulation needs to know of each segment, as arrays `[S, ...]`.
      by_token: arrays `[M, ...]` that were computed once for each token.
      by_segment: arrays `[S, ...]` that were computed once for each segment.
      width: W.
    """

    tokens: Any
    begins: Any
    lengths: Any
    targets: Any = None
    features: Mapping[str, Any] = struct.field(default_factory=dict)
    by_token: Mapping[str, Any] = struct.field(default_factory=dict)
    by_segment: Mapping[str, Any] = struct.field(default_factory=dict)
    width: int = struct.field(pytree_node=False, default=1)

    def segments(self) -> list[list[int]]:
        """Return the tokens of each segment of a pool on the host; the inverse of `make_pool`."""
        return [ids.tolist() for ids in np.split(self.tokens, self.begins[1:])]

    @property
    def example_lengths(self) -> np.ndarray:
        """The number of each example's tokens, int32 `[E]`, of a pool on the host."""
        return self.lengths.reshape(-1, self.width).sum(axis=1, dtype=np.int32)

    @property
    def is_cached(self) -> bool:
        """True if something was computed once for each token or segment."""
        return bool(self.by_token or self.by_segment)


def make_pool(
    segments: Sequence[Sequence[int]],
    targets: Any = None,
    features: Mapping[str, np.ndarray] | None = None,
    width: int = 1,
) -> Pool:
    """Join the tokens of segments.

    Args:
      segments: the token ids of each of `E * W` segments; none for one that its example does not
        need.
      targets: what is to be predicted: an array `[E, ...]`, or a tree of such.
      features: what a formulation needs to know of each segment, as arrays `[S, ...]`.
      width: W, the number of segments of each example.

    Returns:
      The pool, as NumPy arrays.
    """
    lengths = segment_lengths(segments)
    ends = np.cumsum(lengths, dtype=np.int32)
    tokens = np.fromiter((token for ids in segments for token in ids), np.int32, int(lengths.sum()))
    begins = ends - lengths
    return Pool(tokens, begins, lengths, targets, features or {}, width=width)


def segment_lengths(segments: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the number of tokens of each segment, int32 `[S]`."""
    return np.array([len(ids) for ids in segments], np.int32)
