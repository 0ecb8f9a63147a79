"""The suffix: a soft prompt after the tokens, whose vectors have their own token ids.

The vectors are `embeddings/word/suffix [P, D]`. They extend the vocabulary: vector `i` has the
token id `V + i`. A caller that has a whole text appends these ids, so the model need not know where
a text ends. Beside the vectors, `suffix_mask [P]` is 1 for a real vector and 0 for padding.

In a decoder no token sees later tokens. So the keys and values of a text do not depend on the
suffix. They are computed once and used with every suffix.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from fsl_jax.errors import InputError

AnyArray = Array | np.ndarray


def suffix_length(params: Mapping[str, Any]) -> int:
    """Return the number of vectors in the suffix, padding included; 0 without a suffix."""
    suffix = _word_leaves(params).get("suffix")
    return 0 if suffix is None else suffix.shape[0]


def suffix_tokens(
    params: Mapping[str, Any], batch: int
) -> tuple[Int[Array, "B P"], Bool[Array, "B P"]]:
    """Return the suffix as tokens, the same in every row.

    Args:
      params: the parameters, with a suffix.
      batch: the number of rows, `B`.

    Returns:
      The token ids, int32 `[B, P]`, and a mask `[B, P]` that is True where they are real.
    """
    word = _word_leaves(params)
    size, length = word["embedding"].shape[0], word["suffix"].shape[0]
    ids = jnp.arange(size, size + length, dtype=jnp.int32)
    shape = (batch, length)
    return jnp.broadcast_to(ids, shape), jnp.broadcast_to(word["suffix_mask"] > 0, shape)


def without_suffix(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters without the suffix, for reading a text without it."""
    leaves = {
        name: leaf for name, leaf in _word_leaves(params).items() if not name.startswith("suffix")
    }
    return {**params, "embeddings": {**params["embeddings"], "word": leaves}}


def append_suffix(
    params: Mapping[str, Any],
    input_ids: Int[AnyArray, "B T"],
    attention_mask: Bool[AnyArray, "B T"] | Bool[AnyArray, "B T S"],
) -> tuple[Int[Array, "B TP"], Bool[Array, "B TP"] | Bool[Array, "B T S"]]:
    """Append the suffix to texts; without a suffix, return them unchanged.

    The last real token of a row is then a token of the suffix, from which the next token is
    predicted.

    Args:
      params: the parameters.
      input_ids: whole texts, int32 `[B, T]`, padded on either side.
      attention_mask: True where a token is real, `[B, T]`.

    Returns:
      Tokens and mask for `Pretrained.apply`, both `[B, T + P]`.

    Raises:
      InputError: the mask is one of pairs.
    """
    tokens, real = jnp.asarray(input_ids), jnp.asarray(attention_mask)
    if not suffix_length(params):
        return tokens, real
    if real.ndim != 2:
        raise InputError(
            "a suffix is put after whole texts, whose attention_mask is [B, T]; found one of "
            f"shape {list(real.shape)}"
        )
    ids, mask = suffix_tokens(params, len(tokens))
    return jnp.concatenate([tokens, ids], axis=1), jnp.concatenate([real, mask], axis=1)


def _word_leaves(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the leaves of the word embedding; none if the parameters lack it."""
    return params.get("embeddings", {}).get("word", {})
