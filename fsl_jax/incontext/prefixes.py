"""Prefixes: the keys and values of shared beginnings, kept by the tokens that they stand for."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fsl_jax.buckets import bucket_length, pad_tokens
from fsl_jax.incontext.shared_beginnings import shared_length
from fsl_jax.models.outputs import KeyValues

PREFIX_STEP = 256
"""Prefixes above this number of tokens are padded to a multiple of it."""

WORTH_SHARING = 16
"""The minimum number of shared tokens to read once. For fewer, such as those of a template, one
more program would cost more than it saves."""

KEPT = 4
"""The number of prefixes that are kept; the one that was needed least lately goes first."""

Tokens = tuple[int, ...]


class Prefixes:
    """The prefixes that one model has read with one set of parameters."""

    def __init__(self, read: Callable[[jax.Array, jax.Array], KeyValues], capacity: int):
        """Keep no prefix yet.

        Args:
          read: reads token ids `[1, P]` with their mask.
          capacity: the largest number of tokens of a prefix.
        """
        self._read = read
        self._capacity = capacity
        # The prefix that was needed last comes last.
        self._kept: dict[Tokens, KeyValues] = {}

    def known(self, tokens: Tokens, at_least: int = 1) -> Tokens:
        """Return the longest prefix that is kept of the beginning of some tokens.

        Args:
          tokens: token ids.
          at_least: the smallest number of tokens of the prefix.

        Returns:
          Its token ids; empty if none is kept.
        """
        fitting = (
            kept
            for kept in self._kept
            if len(kept) >= at_least and shared_length(kept, tokens) == len(kept)
        )
        return max(fitting, key=len, default=())

    def __getitem__(self, tokens: Tokens) -> KeyValues:
        """Return the keys and values of a beginning, which is read unless it is kept."""
        found = self._kept.pop(tokens, None)
        if found is None:
            length = prefix_length(len(tokens), self._capacity)
            ids, mask = pad_tokens([tokens], length, 0)
            found = self._read(jnp.asarray(ids), jnp.asarray(mask))
        self._kept[tokens] = found
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return found


def prefix_length(tokens: int, capacity: int) -> int:
    """Return the length to which a prefix is padded.

    It is one of a few lengths, since a program is compiled for each. Large lengths are closer
    together than bucket lengths, since every query attends to the padding too.

    Args:
      tokens: the number of tokens of the prefix.
      capacity: the largest allowed length.

    Returns:
      The length.
    """
    if tokens <= PREFIX_STEP:
        return bucket_length(tokens, min(PREFIX_STEP, capacity))
    return min(-(-tokens // PREFIX_STEP) * PREFIX_STEP, capacity)
