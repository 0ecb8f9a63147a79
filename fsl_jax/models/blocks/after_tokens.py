"""What an adaptation puts after the tokens: a soft prompt at the end, as tokens of their own.

Its vectors are `embeddings/word/suffix [P, D]`. They extend the vocabulary: number `V + i` is
vector `i`, so whoever has a whole text writes these numbers after it, and the model needs to know
nothing of where a text ends. Beside them `suffix_mask [P]` is 1 where there is a vector and 0 where
one is padding.

In a decoder no token sees what comes after it. So a text's keys and values do not depend on the
suffix, and can be computed once for all that is tried after them.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from fsl_jax.errors import InputError

AnyArray = Array | np.ndarray


def suffix_length(params: Mapping[str, Any]) -> int:
    """How many vectors a suffix has, padding among them; 0 where there is none."""
    suffix = _word(params).get("suffix")
    return 0 if suffix is None else suffix.shape[0]


def suffix_tokens(
    params: Mapping[str, Any], batch: int
) -> tuple[Int[Array, "B P"], Bool[Array, "B P"]]:
    """The suffix as tokens, the same in every row.

    Args:
      params: the parameters, with a suffix.
      batch: `B`.

    Returns:
      Their numbers, int32 `[B, P]`, and a mask `[B, P]` that is True where they are real.
    """
    word = _word(params)
    size, length = word["embedding"].shape[0], word["suffix"].shape[0]
    ids = jnp.arange(size, size + length, dtype=jnp.int32)
    shape = (batch, length)
    return jnp.broadcast_to(ids, shape), jnp.broadcast_to(word["suffix_mask"] > 0, shape)


def without_suffix(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without the suffix: what reads a text alone does not depend on it."""
    word = {name: leaf for name, leaf in _word(params).items() if not name.startswith("suffix")}
    return {**params, "embeddings": {**params["embeddings"], "word": word}}


def append_suffix(
    params: Mapping[str, Any],
    input_ids: Int[AnyArray, "B T"],
    attention_mask: Bool[AnyArray, "B T"] | Bool[AnyArray, "B T S"],
) -> tuple[Int[Array, "B TP"], Bool[Array, "B TP"] | Bool[Array, "B T S"]]:
    """Texts with the suffix after them, `[B, T + P]`; without one they are returned as they are.

    What follows a text is then read at its last real token, which is the suffix's.

    Args:
      params: the parameters.
      input_ids: whole texts, int32 `[B, T]`, padded on either side.
      attention_mask: True where a token is real, `[B, T]`.

    Returns:
      Tokens and mask for `Pretrained.apply`.

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


def _word(params: Mapping[str, Any]) -> Mapping[str, Any]:
    return params.get("embeddings", {}).get("word", {})
