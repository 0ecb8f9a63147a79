"""Self-attention with its gradient written out.

The forward pass keeps no array of all pairs of tokens for the gradient; JAX would keep three. On
one core of an AMD EPYC the gradient takes 45 ms instead of 63 for 16 × 128 tokens with 12 heads of
32, and 16 ms instead of 19 for 8 × 128 tokens with 9 heads of 64.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Finite, so that a row whose keys are all masked (padding alone) has finite outputs and gradients.
MASKED = -1e30


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def softmax_attention(
    query: Float[Array, "B H_kv GT Dh"],
    keys: Float[Array, "B H_kv T Dh"],
    values: Float[Array, "B H_kv T Dh"],
    mask: Bool[Array, "B Q T"],
    cap: float | None = None,
) -> Float[Array, "B H_kv GT Dh"]:
    """Compute softmax attention in float32.

    Args:
      query: `[B, H_kv, G * T, Dh]`, scaled; the G heads that share a key head follow one another.
      keys: `[B, H_kv, T, Dh]`.
      values: `[B, H_kv, T, Dh]`.
      mask: `[B, T, T]`, True where a query sees a key, or `[B, 1, T]` for all queries.
      cap: keeps scores between `-cap` and `cap` by `soft_cap`; None for no limit.

    Returns:
      The weighted values `[B, H_kv, G * T, Dh]`, in the dtype of `query`.
    """
    return _forward(query, keys, values, mask, cap)[0]


def soft_cap(scores: Float[Array, "*shape"], cap: float | None) -> Float[Array, "*shape"]:
    """Limit scores smoothly to `-cap` … `cap` (Gemma 2, https://arxiv.org/abs/2408.00118).

    If `cap` is None, the scores are not changed.
    """
    return scores if cap is None else cap * jnp.tanh(scores / cap)


def _forward(query, keys, values, mask, cap):
    scores = _masked(soft_cap(_scores(query, keys), cap), mask)
    highest = jnp.max(scores, axis=-1, keepdims=True)
    weights = jnp.exp(scores - highest)
    share = 1 / jnp.sum(weights, axis=-1, keepdims=True)
    # Divide the weighted values, which are smaller than the weights.
    flat = weights.reshape(*query.shape[:3], -1).astype(values.dtype)
    output = _product(flat, values, 3, 2) * share.reshape(*query.shape[:3], 1)
    output = output.astype(query.dtype)
    return output, (query, keys, values, mask, output, highest, share)


def _backward(cap, residuals, gradient):
    query, keys, values, mask, output, highest, share = residuals
    scores = soft_cap(_scores(query, keys), cap)
    weights = jnp.exp(_masked(scores, mask) - highest) * share
    weights = weights.reshape(*query.shape[:3], -1)
    products = gradient.astype(jnp.float32) * output.astype(jnp.float32)
    mean = jnp.sum(products, axis=-1, keepdims=True)
    to_scores = weights * (_product(gradient, values, 3, 3) - mean)
    if cap is not None:
        to_scores *= 1 - jnp.square(scores / cap).reshape(weights.shape)
    # Only in a row of pure padding can masked weights differ from 0.
    grouped = to_scores.reshape(*keys.shape[:2], -1, *keys.shape[2:3] * 2)
    to_scores = jnp.where(mask[:, None, None], grouped, 0.0).reshape(weights.shape)
    to_scores, weights = to_scores.astype(query.dtype), weights.astype(query.dtype)
    return (
        _product(to_scores, keys, 3, 2).astype(query.dtype),
        _product(to_scores, query, 2, 2).astype(keys.dtype),
        _product(weights, gradient, 2, 2).astype(values.dtype),
        None,
    )


softmax_attention.defvjp(_forward, _backward)


def _scores(query, keys) -> Float[Array, "B H_kv G T T"]:
    scores = _product(query, keys, 3, 3)
    return scores.reshape(*keys.shape[:2], -1, keys.shape[2], keys.shape[2])


def _masked(scores, mask) -> Float[Array, "B H_kv G T T"]:
    return jnp.where(mask[:, None, None], scores, MASKED)


def _product(first: Array, second: Array, first_axis: int, second_axis: int) -> Array:
    """Contract one axis of each array in float32; the first two axes are batch and heads."""
    axes = (((first_axis,), (second_axis,)), ((0, 1), (0, 1)))
    return jax.lax.dot_general(first, second, axes, preferred_element_type=jnp.float32)
