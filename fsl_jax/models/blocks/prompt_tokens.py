"""Soft prompts in packed rows, where their vectors are tokens.

The vectors of `embeddings/word/prompt [P, D]` extend the vocabulary after those of a suffix: with a
suffix of S vectors, vector `i` of the prompt has the token id `V + S + i`. A caller puts these ids
before each text. Without packed rows no caller does: the model puts the vectors before every row.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from fsl_jax.models.attention.attention import token_positions
from fsl_jax.models.blocks.prompt_positions import prompt_length
from fsl_jax.models.blocks.suffix_tokens import suffix_length

_ADDED = ("suffix", "prompt")


def prompt_token_ids(params: Mapping[str, Any]) -> Int[np.ndarray, " P"]:
    """Return the token ids of a soft prompt's vectors, padding included; none without a prompt.

    Args:
      params: the parameters, or their shapes.

    Returns:
      int32 ids, for packed rows.
    """
    if not (length := prompt_length(params)):
        return np.zeros(0, np.int32)
    first = params["embeddings"]["word"]["embedding"].shape[0] + suffix_length(params)
    return np.arange(first, first + length, dtype=np.int32)


def hide_padding(
    params: Mapping[str, Any],
    input_ids: Int[Array, "B T"],
    attention_mask: Bool[Array, "B T"] | Bool[Array, "B T S"],
) -> Bool[Array, "B T"] | Bool[Array, "B T S"]:
    """Hide the padding of a soft prompt and of a suffix from all tokens.

    Args:
      params: the parameters.
      input_ids: the token ids.
      attention_mask: True where a token is real, or where a token sees another; the last T of S
        are the tokens.

    Returns:
      The mask, False where the token is padding.
    """
    word = params.get("embeddings", {}).get("word", {})
    masks = [word[f"{name}_mask"] > 0 for name in _ADDED if len(word.get(name, ()))]
    if not masks:
        return attention_mask
    beyond = input_ids - word["embedding"].shape[0]
    shown = (beyond < 0) | jnp.concatenate(masks)[jnp.maximum(beyond, 0)]
    if attention_mask.ndim == 2:
        return attention_mask & shown
    before = attention_mask.shape[2] - input_ids.shape[1]
    return attention_mask & jnp.pad(shown, ((0, 0), (before, 0)), constant_values=True)[:, None]


def positions_after_prompt(
    params: Mapping[str, Any], input_ids: Int[Array, "B T"], position_ids: Int[Array, "B T"] | None
) -> Int[Array, "B T"] | None:
    """Move positions of texts behind those of the soft prompt, whose vectors are counted from 0.

    Args:
      params: the parameters; without a soft prompt, nothing is changed.
      input_ids: the token ids, in which the prompt's vectors may be anywhere.
      position_ids: of texts, counted from 0; those of the prompt's vectors are not read. Or None.

    Returns:
      The positions of all tokens, or None.
    """
    if position_ids is None or not prompt_length(params):
        return position_ids
    is_real = params["embeddings"]["word"]["prompt_mask"] > 0
    number = input_ids - prompt_token_ids(params)[0]
    in_prompt = token_positions(is_real[None])[0][jnp.maximum(number, 0)]
    after = position_ids + jnp.sum(is_real, dtype=jnp.int32)
    return jnp.where(number >= 0, in_prompt, after)
