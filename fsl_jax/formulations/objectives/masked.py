"""Logits of which some do not count."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

LOWEST = -1e9
"""A logit that no other one is below. It is finite, so that a row without logits has a loss."""


def masked_logits(logits: Float[Array, "*S"], counts: Bool[Array, "*S"]) -> Float[Array, "*S"]:
    """Replace the logits that do not count by `LOWEST`, which no gradient reaches.

    Args:
      logits: logits.
      counts: True for those that count.

    Returns:
      The logits, to be normalised or compared.
    """
    return jnp.where(counts, logits, LOWEST)
