"""Losses and metrics of classification, as functions of class logits."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int


def cross_entropy(logits: Float[Array, "B C"], labels: Int[Array, " B"]) -> Float[Array, " B"]:
    """Compute the cross-entropy of each example, in nats.

    Args:
      logits: class logits.
      labels: the indices of the correct classes.

    Returns:
      One loss for each example.
    """
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)


def correct(logits: Float[Array, "B C"], labels: Int[Array, " B"]) -> Bool[Array, " B"]:
    """Compare the predicted class with the label; the mean of the result is the accuracy.

    Args:
      logits: class logits.
      labels: the indices of the correct classes.

    Returns:
      True for each example that is classified correctly.
    """
    return jnp.argmax(logits, axis=-1) == labels
