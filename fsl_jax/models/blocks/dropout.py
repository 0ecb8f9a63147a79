"""Dropout of activations."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt32

from fsl_jax.errors import InputError

PRNGKey = Key[Array, ""] | UInt32[Array, "2"]


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Inverted dropout at a static rate; a rate of 0 draws nothing and costs nothing.

    Each call draws from its own key, which folds in the numbers of the layer and of the position in
    it. So a stack gives the same results in one section or in two. Attention weights are not
    dropped: on a CPU, drawing a mask for each of them costs more than the attention itself.

    Attributes:
      rate: probability that an activation is set to zero, in [0, 1).
      key: threefry key; None only where the rate is 0.
    """

    rate: float = 0.0
    key: PRNGKey | None = None

    def __post_init__(self):
        if not 0 <= self.rate < 1:
            raise InputError(f"the dropout rate is {self.rate}; it must be in [0, 1).")
        if self.rate and self.key is None:
            raise InputError(
                f"a dropout rate of {self.rate} needs a key: give key=jax.random.key(seed)."
            )

    def within(self, number: int | UInt32[Array, ""]) -> "Dropout":
        """Return the dropout of one layer, or of another numbered part."""
        if self.key is None or not self.rate:
            return self
        return Dropout(self.rate, jax.random.fold_in(self.key, number))

    def __call__(self, x: Float[Array, "*batch D"], position: int) -> Float[Array, "*batch D"]:
        """Drop activations of `x` at a numbered position of the layer."""
        if self.key is None or not self.rate:
            return x
        # Use half a random word for each activation: drawing them is the main cost of dropout.
        threshold = round(self.rate * 2**16)
        key = jax.random.fold_in(self.key, position)
        words = jax.random.bits(key, (*x.shape[:-1], -(-x.shape[-1] // 2)), jnp.uint32)
        halves = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(*x.shape[:-1], -1)
        kept = halves[..., : x.shape[-1]] >= jnp.uint16(threshold)
        scale = jnp.asarray(1 / (1 - threshold / 2**16), x.dtype)
        return jnp.where(kept, x * scale, jnp.zeros_like(x))


NO_DROPOUT = Dropout()
