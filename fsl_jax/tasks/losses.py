"""Losses and metrics of classification, as functions of class logits."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int


def cross_entropy(logits: Float[Array, "B C"], labels: Int[Array, " B"]) -> Float[Array, " B"]:
    """The cross-entropy of each example, in nats.

    Args:
      logits: class logits.
      labels: indices of the right classes.

    Returns:
      One loss for each example.
    """
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)


def correct(logits: Float[Array, "B C"], labels: Int[Array, " B"]) -> Bool[Array, " B"]:
    """Which examples the largest logit classifies rightly; their mean is the accuracy.

    Args:
      logits: class logits.
      labels: indices of the right classes.

    Returns:
      One boolean for each example.
    """
    return jnp.argmax(logits, axis=-1) == labels
