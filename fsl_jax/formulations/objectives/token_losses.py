"""Losses of tokens over a large vocabulary, a chunk of places at a time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

CHUNK = 128
"""The places of a chunk. Their logits over 49,152 tokens take 24 MiB a run."""


def token_losses(
    hidden: Float[Array, "A D"],
    targets: Int[Array, " A"],
    unembed: Callable[[Float[Array, "K D"]], Float[Array, "K V"]],
    chunk: int = CHUNK,
) -> Float[Array, " A"]:
    """Compute the cross-entropy of each token, and never hold the logits of all places.

    Gradients compute the logits of a chunk once more.

    Args:
      hidden: the hidden states at A places.
      targets: the token that follows each place.
      unembed: computes logits over the whole vocabulary from hidden states.
      chunk: K, the number of places whose logits are held at once.

    Returns:
      The losses, in nats.
    """

    @jax.checkpoint
    def of_chunk(inputs: tuple[Array, Array]) -> Float[Array, " K"]:
        states, labels = inputs
        return optax.losses.softmax_cross_entropy_with_integer_labels(unembed(states), labels)

    places = targets.size
    chunk = min(chunk, places)
    filler = -places % chunk
    states = jnp.pad(hidden, ((0, filler), (0, 0))).reshape(-1, chunk, hidden.shape[1])
    labels = jnp.pad(targets, (0, filler)).reshape(-1, chunk)
    return jax.lax.map(of_chunk, (states, labels)).reshape(-1)[:places]
