"""The beginning that all prompts share, which is read once for all of them."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import struct

from fsl_jax.buckets import bucket_length
from fsl_jax.models.outputs import KeyValues

PREFIX_STEP = 256
"""Prefixes above this number of tokens are padded to a multiple of it."""

WORTH_SHARING = 16
"""The minimum number of shared tokens to read once. For fewer, such as those of a template, one
more program would cost more than it saves."""


@struct.dataclass
class SharedPrefix:
    """The tokens with which all prompts begin, after they were read.

    Attributes:
      input_ids: int32 `[1, P]`.
      mask: bool `[1, P]`, True where a token is real.
      key_values: their keys and values, `[L, 1, S, H_kv, Dh]`, after those of a soft prompt.
    """

    # Leaves of a pytree, whose annotations cannot be checked as shapes.
    input_ids: Any
    mask: Any
    key_values: Any

    @property
    def columns(self) -> int:
        """The number of columns that it takes in a cache, with those of a soft prompt."""
        return self.key_values.mask.shape[1]


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


def common_beginning(tokens: Sequence[Sequence[int]]) -> int:
    """Count the leading tokens that all prompts share, leaving at least one token in each.

    Args:
      tokens: token ids of prompts.

    Returns:
      The number of shared tokens.
    """
    columns = zip(*tokens, strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
    return max(min(shared, min(map(len, tokens)) - 1), 0)


def worth_sharing(tokens: Sequence[Sequence[int]], *, has_encoder: bool) -> int:
    """Count the leading tokens that all prompts share, if it pays to read them once.

    Args:
      tokens: token ids of prompts.
      has_encoder: whether an encoder reads the prompts. Its tokens attend to those that follow
        them, so it reads each prompt whole.

    Returns:
      The number of tokens; 0 if they are too few.
    """
    shared = 0 if has_encoder else common_beginning(tokens)
    return shared if shared >= WORTH_SHARING else 0


def join(before: KeyValues, after: KeyValues) -> KeyValues:
    """Put the keys and values of a shared prefix before those of each row.

    Args:
      before: `[L, 1, P, H_kv, Dh]`.
      after: `[L, B, T, H_kv, Dh]`.

    Returns:
      `[L, B, P + T, H_kv, Dh]`, whose positions are counted by the mask.
    """
    rows = after.mask.shape[0]
    keys, values = (
        jnp.concatenate([jnp.repeat(first, rows, axis=1), second], axis=2)
        for first, second in ((before.keys, after.keys), (before.values, after.values))
    )
    return KeyValues(keys, values, _rows_joined(before.mask, after.mask))


def _rows_joined(before: Any, after: Any) -> Any:
    return jnp.concatenate([jnp.repeat(before, len(after), axis=0), after], axis=1)


def join_tokens(prefix: SharedPrefix | None, ids: Any, mask: Any) -> tuple[Any, Any]:
    """Put the tokens of a shared prefix before those of each row.

    Args:
      prefix: the prefix; None for none.
      ids: int32 `[B, T]`.
      mask: bool `[B, T]`.

    Returns:
      Token ids and mask, `[B, P + T]`.
    """
    if prefix is None:
        return ids, mask
    return _rows_joined(prefix.input_ids, ids), _rows_joined(prefix.mask, mask)
