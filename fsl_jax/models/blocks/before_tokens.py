"""What an adaptation puts before the tokens: how long it is, who sees it, where tokens then stand.

A soft prompt is vectors before the embedded tokens, `embeddings/word/prompt [P, D]`; a learned
prefix is keys and values before those of the tokens in every layer, `layers/attention/prefix_key
[L, P, H_kv * Dh]` and `prefix_value`. Beside each is a mask of 1 where there is a vector and of 0
where one is padding, `prompt_mask [P]` and `prefix_mask [L, P]`. Of an encoder-decoder the encoder
reads the prompt and the decoder has the prefix, whose functions here are given `params["decoder"]`.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.attention.attention import token_positions

_STACKS = ("layers", "top_layers")


def prompt_length(params: Mapping[str, Any]) -> int:
    """How many vectors a soft prompt has, padding among them; 0 where there is none."""
    prompt = params.get("embeddings", {}).get("word", {}).get("prompt")
    return 0 if prompt is None else prompt.shape[0]


def prefix_length(params: Mapping[str, Any]) -> int:
    """How many vectors a learned prefix has in a layer, padding among them; 0 without one."""
    mask = _prefix_mask(params)
    return 0 if mask is None else mask.shape[1]


def decoder_prefix_length(params: Mapping[str, Any]) -> int:
    """Likewise of the prefix that an encoder-decoder's decoder has; 0 for other models."""
    return prefix_length(params.get("decoder", {}))


def length_before(params: Mapping[str, Any]) -> int:
    """How many of the positions that a model has are taken before the first token that it reads."""
    return prompt_length(params) + prefix_length(params)


def prefix_count(params: Mapping[str, Any]) -> Int[Array, ""] | None:
    """How many vectors a learned prefix has in a layer, without padding; None without one."""
    mask = _prefix_mask(params)
    return None if mask is None else jnp.sum(mask[0] > 0, dtype=jnp.int32)


def prefix_places(params: Mapping[str, Any]) -> Int[Array, "1 P"] | None:
    """Where the vectors of a learned prefix stand, counted from 0; None without one."""
    mask = _prefix_mask(params)
    return None if mask is None else token_positions(mask[:1] > 0)


def make_room(
    prompt_mask: Float[Array, " P"],
    attention_mask: Bool[Array, "B T"] | Bool[Array, "B T T"],
    position_ids: Int[Array, "_ T"] | None,
    causal: bool,
) -> tuple[Bool[Array, "B S"] | Bool[Array, "B S S"], Int[Array, "_ S"] | None]:
    """Masks and positions of a soft prompt and the tokens after it, `S = P + T`.

    Args:
      prompt_mask: of the prompt's vectors.
      attention_mask: of the tokens, as in `Pretrained.apply`.
      position_ids: of the tokens, counted from 0, `[B, T]`, or `[1, T]` for all rows; or None.
      causal: whether nothing sees what comes after it.

    Returns:
      The mask, and the positions where they were given.
    """
    seen = prompt_mask > 0
    if position_ids is not None:
        own = jnp.broadcast_to(token_positions(seen[None]), (len(position_ids), len(seen)))
        after = position_ids + jnp.sum(seen, dtype=jnp.int32)
        position_ids = jnp.concatenate([own, after], axis=1)
    if attention_mask.ndim == 2:
        own_mask = jnp.broadcast_to(seen[None], (len(attention_mask), len(seen)))
        return jnp.concatenate([own_mask, attention_mask], axis=1), position_ids
    return _with_prompt(seen, attention_mask, causal), position_ids


def _with_prompt(
    seen: Bool[Array, " P"], pairs: Bool[Array, "B T T"], causal: bool
) -> Bool[Array, "B S S"]:
    """A mask of pairs in which tokens see the prompt, and it sees them unless that is ahead."""
    batch, length = pairs.shape[:2]
    size = len(seen)
    own = jnp.tril(jnp.ones((size, size), bool)) if causal else jnp.ones((size, size), bool)
    after = jnp.zeros((batch, 1, length), bool) if causal else jnp.any(pairs, 1, keepdims=True)
    prompt_rows = [
        jnp.broadcast_to((own & seen[None])[None], (batch, size, size)),
        jnp.broadcast_to(after, (batch, size, length)),
    ]
    token_rows = [jnp.broadcast_to(seen[None, None], (batch, length, size)), pairs]
    return jnp.concatenate([jnp.concatenate(rows, 2) for rows in (prompt_rows, token_rows)], axis=1)


def _prefix_mask(params: Mapping[str, Any]) -> Any:
    """The mask `[L, P]` of a stack with layers in it."""
    found = (params.get(name, {}).get("attention", {}).get("prefix_mask") for name in _STACKS)
    return next((mask for mask in found if mask is not None and len(mask)), None)
