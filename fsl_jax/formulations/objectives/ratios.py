"""Quotients that are 0 where nothing was counted."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def ratio(part: Float[Array, "*S"], whole: Float[Array, "*S"]) -> Float[Array, "*S"]:
    """Divide counts, and give 0 where the divisor is 0.

    Args:
      part: the dividends.
      whole: the divisors, none of which is negative.

    Returns:
      The quotients.
    """
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1.0), 0.0)


def f1(
    predicted: Float[Array, "*S"], gold: Float[Array, "*S"], correct: Float[Array, "*S"]
) -> Float[Array, "*S"]:
    """Compute F1, which is 0 where nothing is predicted and nothing was to be.

    Args:
      predicted: how many were predicted.
      gold: how many were to be predicted.
      correct: how many were predicted correctly.

    Returns:
      The harmonic mean of precision and recall.
    """
    return ratio(2.0 * correct, predicted + gold)
