"""Pooling: from the hidden states of a text's tokens to one vector for the text."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Mask = Bool[Array, "B T"]


def _mean(hidden: Float[Array, "B T D"], mask: Mask) -> Float[Array, "B D"]:
    weights = mask.astype(hidden.dtype)
    total = jnp.einsum("btd,bt->bd", hidden, weights)
    return total / jnp.maximum(weights.sum(axis=1), 1)[:, None]


def _first_token(hidden: Float[Array, "B T D"], mask: Mask) -> Float[Array, "B D"]:
    return _at(hidden, jnp.argmax(mask, axis=1))


def last_token(hidden: Float[Array, "B T D"], mask: Mask) -> Float[Array, "B D"]:
    """Return the hidden state of each row's last real token, with padding on either side."""
    return _at(hidden, mask.shape[1] - 1 - jnp.argmax(mask[:, ::-1], axis=1))


def _at(hidden: Float[Array, "B T D"], positions: Int[Array, " B"]) -> Float[Array, "B D"]:
    return jnp.take_along_axis(hidden, positions[:, None, None], axis=1)[:, 0]


POOLINGS = {"mean": _mean, "cls": _first_token, "last": last_token}
"""The poolings by name: the mean over real tokens, the first real token, the last real token."""
