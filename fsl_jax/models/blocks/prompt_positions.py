"""Lengths, masks and positions of soft prompts and prefixes before the tokens.

A soft prompt is vectors before the embedded tokens, `embeddings/word/prompt [P, D]`. A learned
prefix is keys and values before those of the tokens in every layer,
`layers/attention/prefix_key [L, P, H_kv * Dh]` and `prefix_value`. Each has a mask that is 1 for a
real vector and 0 for padding, `prompt_mask [P]` and `prefix_mask [L, P]`.

In an encoder-decoder the encoder reads the soft prompt and the decoder has the learned prefix. The
functions about prefixes are then called with `params["decoder"]`.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.attention.attention import token_positions

_SECTIONS = ("layers", "top_layers")


def prompt_length(params: Mapping[str, Any]) -> int:
    """Return the number of vectors in the soft prompt, padding included; 0 without one."""
    prompt = params.get("embeddings", {}).get("word", {}).get("prompt")
    return 0 if prompt is None else prompt.shape[0]


def prefix_length(params: Mapping[str, Any]) -> int:
    """Return the number of vectors in a layer's learned prefix, padding included; 0 without one."""
    mask = _prefix_mask(params)
    return 0 if mask is None else mask.shape[1]


def decoder_prefix_length(params: Mapping[str, Any]) -> int:
    """Return the prefix length of an encoder-decoder's decoder; 0 for other models."""
    return prefix_length(params.get("decoder", {}))


def reserved_positions(params: Mapping[str, Any]) -> int:
    """Return the number of positions before the first token of the text."""
    return prompt_length(params) + prefix_length(params)


def prefix_count(params: Mapping[str, Any]) -> Int[Array, ""] | None:
    """Return the number of real vectors in a layer's learned prefix; None without one."""
    mask = _prefix_mask(params)
    return None if mask is None else jnp.sum(mask[0] > 0, dtype=jnp.int32)


def prefix_positions(params: Mapping[str, Any]) -> Int[Array, "1 P"] | None:
    """Return the positions of a learned prefix's vectors, counted from 0; None without one."""
    mask = _prefix_mask(params)
    return None if mask is None else token_positions(mask[:1] > 0)


def prepend_prompt(
    prompt_mask: Float[Array, " P"],
    attention_mask: Bool[Array, "B T"] | Bool[Array, "B T T"],
    position_ids: Int[Array, "_ T"] | None,
    causal: bool,
) -> tuple[Bool[Array, "B S"] | Bool[Array, "B S S"], Int[Array, "_ S"] | None]:
    """Extend the mask and the positions by a soft prompt before the tokens; `S = P + T`.

    Args:
      prompt_mask: `[P]`, above 0 for the real vectors of the prompt.
      attention_mask: of the tokens, as in `Pretrained.apply`.
      position_ids: of the tokens, counted from 0, `[B, T]`, or `[1, T]` for all rows; or None.
      causal: whether no token sees a later one.

    Returns:
      The mask of prompt and tokens, and their positions, which are None if `position_ids` is None.
    """
    is_real = prompt_mask > 0
    if position_ids is not None:
        prompt_positions = jnp.broadcast_to(
            token_positions(is_real[None]), (len(position_ids), len(is_real))
        )
        shifted = position_ids + jnp.sum(is_real, dtype=jnp.int32)
        position_ids = jnp.concatenate([prompt_positions, shifted], axis=1)
    if attention_mask.ndim == 2:
        rows = jnp.broadcast_to(is_real[None], (len(attention_mask), len(is_real)))
        return jnp.concatenate([rows, attention_mask], axis=1), position_ids
    return _prepend_to_pairs(is_real, attention_mask, causal), position_ids


def _prepend_to_pairs(
    is_real: Bool[Array, " P"], pairs: Bool[Array, "B T T"], causal: bool
) -> Bool[Array, "B S S"]:
    """Extend a mask of pairs: tokens see the prompt, which sees them unless `causal`."""
    batch, length = pairs.shape[:2]
    size = len(is_real)
    among_prompt = jnp.ones((size, size), bool)
    if causal:
        among_prompt = jnp.tril(among_prompt)
        sees_tokens = jnp.zeros((batch, 1, length), bool)
    else:
        sees_tokens = jnp.any(pairs, 1, keepdims=True)
    prompt_rows = [
        jnp.broadcast_to((among_prompt & is_real[None])[None], (batch, size, size)),
        jnp.broadcast_to(sees_tokens, (batch, size, length)),
    ]
    token_rows = [jnp.broadcast_to(is_real[None, None], (batch, length, size)), pairs]
    return jnp.concatenate([jnp.concatenate(rows, 2) for rows in (prompt_rows, token_rows)], axis=1)


def _prefix_mask(params: Mapping[str, Any]) -> Any:
    """Return the prefix mask `[L, P]` of the first section that has layers and a prefix."""
    masks = (params.get(name, {}).get("attention", {}).get("prefix_mask") for name in _SECTIONS)
    return next((mask for mask in masks if mask is not None and len(mask)), None)
