"""The examples of a program as flat arrays, in which each example is a range of tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import struct

# The fields below are leaves of pytrees, so annotations cannot be checked as shapes.


@struct.dataclass
class Pool:
    """E examples with M tokens in all, on the host or on devices.

    Attributes:
      tokens: the token ids of all examples, one after the other, int32 `[M]`.
      begins: the number of each example's first token, int32 `[E]`.
      lengths: the number of each example's tokens, int32 `[E]`.
      label: the index of each example's class, int32 `[E]`.
      by_token: arrays `[M, ...]` that were computed once for each token.
      by_example: arrays `[E, ...]` that were computed once for each example.
    """

    tokens: Any
    begins: Any
    lengths: Any
    label: Any
    by_token: Mapping[str, Any] = struct.field(default_factory=dict)
    by_example: Mapping[str, Any] = struct.field(default_factory=dict)

    def segments(self) -> list[list[int]]:
        """Return the tokens of each example of a pool on the host; the inverse of `make_pool`."""
        return [ids.tolist() for ids in np.split(self.tokens, self.begins[1:])]

    @property
    def is_cached(self) -> bool:
        """True if something was computed once for each token or example."""
        return bool(self.by_token or self.by_example)


def make_pool(segments: Sequence[Sequence[int]], label: np.ndarray) -> Pool:
    """Join the tokens of examples.

    Args:
      segments: the token ids of each of E examples, at least one each.
      label: the index of each example's class, int32 `[E]`.

    Returns:
      The pool, as NumPy arrays.
    """
    lengths = segment_lengths(segments)
    ends = np.cumsum(lengths, dtype=np.int32)
    tokens = np.fromiter((token for ids in segments for token in ids), np.int32, int(lengths.sum()))
    return Pool(tokens, ends - lengths, lengths, label)


def segment_lengths(segments: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the number of tokens of each example, int32 `[E]`."""
    return np.array([len(ids) for ids in segments], np.int32)
