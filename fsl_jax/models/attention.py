"""Attention: masks, positions, the rotary embedding, and attending to a prefix as well."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError

# Finite, so that a row whose keys are all masked (padding alone) has finite outputs and gradients.
_MASKED = -1e30


def token_positions(mask: Bool[Array, "B T"]) -> Int[Array, "B T"]:
    """Numbers the real tokens of each row from 0, wherever the padding is."""
    return jnp.maximum(jnp.cumsum(mask.astype(jnp.int32), axis=1) - 1, 0)


def require_positions(mask: Bool[Array, "B T"] | Bool[Array, "B T S"]) -> None:
    """Raises an error for a mask of pairs that comes without position_ids."""
    if mask.ndim != 2:
        raise InputError(
            "position_ids are missing: with an attention_mask of shape [B, T, S] they cannot be "
            "counted from the mask. Give position_ids of shape [B, T]."
        )


def causal_mask(mask: Bool[Array, "B T"]) -> Bool[Array, "B T T"]:
    """Lets each token see the real tokens up to itself."""
    length = mask.shape[1]
    causal = jnp.tril(jnp.ones((length, length), bool))
    return causal[None] & mask[:, None, :]


def rotary_tables(
    positions: Int[Array, "B T"], head_dim: int, theta: float
) -> tuple[Float[Array, "B T half"], Float[Array, "B T half"]]:
    """Cosines and sines of the rotary embedding (https://arxiv.org/abs/2104.09864), in float32."""
    exponents = jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim
    frequencies = 1.0 / theta**exponents
    angles = positions.astype(jnp.float32)[:, :, None] * frequencies[None, None, :]
    return jnp.cos(angles), jnp.sin(angles)


def rotate(
    x: Float[Array, "B T H Dh"], tables: tuple[Float[Array, "B T half"], Float[Array, "B T half"]]
) -> Float[Array, "B T H Dh"]:
    """Turns pairs made of the first and the second half of each head, as Hugging Face does."""
    cos, sin = (table[:, :, None, :] for table in tables)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def attend(
    query: Float[Array, "B T H Dh"],
    keys: Float[Array, "B T H_kv Dh"],
    values: Float[Array, "B T H_kv Dh"],
    mask: Bool[Array, "B Q S"],
    prefix: tuple[Float[Array, "P_B P H_kv Dh"], Float[Array, "P_B P H_kv Dh"]] | None = None,
) -> Float[Array, "B T H*Dh"]:
    """Scaled dot-product attention with grouped key heads and a softmax in float32.

    Args:
      query: `[B, T, H, Dh]`; each of the `H_kv` key heads serves `H / H_kv` of its heads.
      keys: `[B, T, H_kv, Dh]`.
      values: `[B, T, H_kv, Dh]`.
      mask: `[B, T, P + T]`, True where a query sees a key, or `[B, 1, P + T]` for all queries.
      prefix: keys and values of `P` tokens before these, of batch B, or of batch 1, which all rows
        read without a copy each.

    Returns:
      `[B, T, H * Dh]`.
    """
    batch, length, heads, head_dim = query.shape
    grouped = (query * jnp.asarray(head_dim**-0.5, query.dtype)).reshape(
        batch, length, keys.shape[2], -1, head_dim
    )
    sources = [(keys, values)] if prefix is None else [prefix, (keys, values)]
    scores = [_scores(grouped, source_keys) for source_keys, _ in sources]
    joined = scores[0] if len(scores) == 1 else jnp.concatenate(scores, axis=-1)
    weights = jax.nn.softmax(jnp.where(mask[:, None, None], joined, _MASKED), axis=-1)
    weights = weights.astype(query.dtype)
    own = weights[..., -length:]
    attended = _weighted(own, values)
    if prefix is not None:
        attended += _weighted(weights[..., :-length], prefix[1])
    return attended.reshape(batch, length, heads * head_dim)


def _is_shared(source: Float[Array, "B S H_kv Dh"], batch: int) -> bool:
    return source.shape[0] == 1 and batch > 1


def _scores(
    grouped: Float[Array, "B T H_kv G Dh"], keys: Float[Array, "K_B S H_kv Dh"]
) -> Float[Array, "B H_kv G T S"]:
    if _is_shared(keys, grouped.shape[0]):
        equation, keys = "bthgd,shd->bhgts", keys[0]
    else:
        equation = "bthgd,bshd->bhgts"
    return jnp.einsum(equation, grouped, keys, preferred_element_type=jnp.float32)


def _weighted(
    weights: Float[Array, "B H_kv G T S"], values: Float[Array, "K_B S H_kv Dh"]
) -> Float[Array, "B T H_kv G Dh"]:
    if _is_shared(values, weights.shape[0]):
        return jnp.einsum("bhgts,shd->bthgd", weights, values[0])
    return jnp.einsum("bhgts,bshd->bthgd", weights, values)
