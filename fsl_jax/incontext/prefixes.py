"""Prefixes: the keys and values of shared beginnings, kept by the tokens that they stand for."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from fsl_jax.buckets import pad_tokens
from fsl_jax.incontext.shared_beginnings import Sharing, Tokens, find_sharings, shared_length
from fsl_jax.models.generation.shared_prefix import WORTH_SHARING, prefix_length
from fsl_jax.models.outputs import KeyValues

KEPT = 4
"""The number of prefixes that are kept; the one that was needed least lately goes first."""


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

    def sharings(self, contexts: Sequence[Tokens], worth: int) -> list[Sharing]:
        """Find beginnings that are read once, those that are kept if they will do.

        Args:
          contexts: token ids.
          worth: the number of tokens that a beginning must save to be read.

        Returns:
          The sharings, as by `find_sharings`.
        """
        members: dict[Tokens, list[int]] = {}
        for sharing in find_sharings(contexts, WORTH_SHARING, worth):
            if sharing.beginning:
                # A little less will do, such as without a word with which all queries begin.
                enough = len(sharing.beginning) - WORTH_SHARING + 1
                beginning = self.known(sharing.beginning, enough) or sharing.beginning
                members.setdefault(beginning, []).extend(sharing.members)
            else:
                for number in sharing.members:
                    # The last token of a context is read again: its hidden state is needed.
                    known = self.known(contexts[number][:-1])
                    members.setdefault(known, []).append(number)
        return [Sharing(beginning, tuple(sorted(each))) for beginning, each in members.items()]

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
