"""Unscaled attention over one or more sources, with a bias for each pair of tokens.

The gradient is written out, as in `softmax_attention`: no array of all pairs of tokens is kept. All
rows can read one source of batch 1; their tokens are then treated as one long row.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fsl_jax.models.attention.softmax_attention import MASKED


class Source(NamedTuple):
    """Tokens to attend to.

    Attributes:
      keys: `[S_B, S, H, Dh]`, with batch B, or with batch 1 for all rows.
      values: `[S_B, S, H, Dh]`.
      mask: bool `[1 or B, 1 or T, S]`, True where a query sees a key.
      bias: float32 `[1 or B, H, T, S]`, added to the scores; None adds nothing.
    """

    keys: Float[Array, "S_B S H Dh"]
    values: Float[Array, "S_B S H Dh"]
    mask: Bool[Array, "M_B Q S"]
    bias: Float[Array, "P_B H T S"] | None = None


def biased_attention(query: Float[Array, "B T H Dh"], *sources: Source) -> Float[Array, "B T H*Dh"]:
    """Compute attention with one float32 softmax over all sources, which are never joined.

    Args:
      query: `[B, T, H, Dh]`, not scaled here.
      *sources: the tokens to attend to.

    Returns:
      `[B, T, H * Dh]`.
    """
    batch, length, heads, width = query.shape
    parts = [_attend_to_source(query, source) for source in sources]
    if len(parts) == 1:
        return parts[0][0].reshape(batch, length, heads * width)
    # The maximum only rescales the total, so it needs no gradient.
    highest = jax.lax.stop_gradient(jnp.stack([part[1] for part in parts]))
    totals = jnp.stack([part[2] for part in parts]) * jnp.exp(
        highest - jnp.max(highest, axis=0)[None]
    )
    shares = totals / jnp.sum(totals, axis=0)[None]
    output = sum(
        part[0].astype(jnp.float32) * share for part, share in zip(parts, shares, strict=True)
    )
    return output.astype(query.dtype).reshape(batch, length, heads * width)


def _attend_to_source(
    query: Float[Array, "B T H Dh"], source: Source
) -> tuple[Float[Array, "B T H Dh"], Float[Array, "B T H 1"], Float[Array, "B T H 1"]]:
    """Attend to one source.

    Returns:
      The weighted values, the maximum of the scores, and the total of the exponentials of scores
      minus that maximum.
    """
    batch, length, heads, _ = query.shape
    keys, values, mask, bias = source
    if len(keys) < batch:
        if mask.shape[:2] != (1, 1):
            mask = jnp.broadcast_to(mask, (batch, length, mask.shape[2]))
            mask = mask.reshape(1, batch * length, -1)
        if bias is not None:
            bias = jnp.broadcast_to(bias, (batch, *bias.shape[1:])).transpose(1, 0, 2, 3)
            bias = bias.reshape(1, heads, batch * length, -1)
    rows = query.reshape(len(keys), -1, *query.shape[2:])
    by_head = (each.transpose(0, 2, 1, 3) for each in (rows, keys, values))
    output, highest, total = (
        each.transpose(0, 2, 1, 3).reshape(batch, length, heads, -1)
        for each in _attention(*by_head, mask, bias)
    )
    return output, highest, total


@jax.custom_vjp
def _attention(
    query: Float[Array, "B H T Dh"],
    keys: Float[Array, "B H S Dh"],
    values: Float[Array, "B H S Dh"],
    mask: Bool[Array, "M_B Q S"],
    bias: Float[Array, "P_B H T S"] | None,
) -> tuple[Float[Array, "B H T Dh"], Float[Array, "B H T 1"], Float[Array, "B H T 1"]]:
    return _forward(query, keys, values, mask, bias)[0]


def _forward(query, keys, values, mask, bias):
    scores = _scores(query, keys, mask, bias)
    highest = jnp.max(scores, axis=-1, keepdims=True)
    weights = jnp.exp(scores - highest)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    output = _product("bhts,bhsd->bhtd", weights.astype(values.dtype), values) / total
    results = (output.astype(query.dtype), highest, total)
    return results, (query, keys, values, mask, bias, *results)


def _backward(residuals, gradients):
    query, keys, values, mask, bias, output, highest, total = residuals
    gradient, _, to_total = gradients
    weights = jnp.exp(_scores(query, keys, mask, bias) - highest) / total
    products = gradient.astype(jnp.float32) * output.astype(jnp.float32)
    mean = jnp.sum(products, axis=-1, keepdims=True)
    along = _product("bhtd,bhsd->bhts", gradient, values)
    # Only in a row of pure padding can masked weights differ from 0.
    to_scores = jnp.where(mask[:, None], weights * (along - mean + to_total * total), 0.0)
    to_bias = to_scores
    if bias is not None and bias.shape[0] == 1:
        to_bias = jnp.sum(to_scores, axis=0, keepdims=True)
    cast, weights = to_scores.astype(query.dtype), weights.astype(query.dtype)
    return (
        _product("bhts,bhsd->bhtd", cast, keys).astype(query.dtype),
        _product("bhts,bhtd->bhsd", cast, query).astype(keys.dtype),
        _product("bhts,bhtd->bhsd", weights, gradient).astype(values.dtype),
        None,
        None if bias is None else to_bias,
    )


_attention.defvjp(_forward, _backward)


def _scores(query, keys, mask, bias) -> Float[Array, "B H T S"]:
    scores = _product("bhtd,bhsd->bhts", query, keys)
    if bias is not None:
        scores += bias
    return jnp.where(mask[:, None], scores, MASKED)


def _product(axes: str, first: Array, second: Array) -> Array:
    return jnp.einsum(axes, first, second, preferred_element_type=jnp.float32)
