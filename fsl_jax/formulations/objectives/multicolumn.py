"""The objective of several label columns at once: a head for each column."""

import dataclasses
import itertools
from typing import ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from fsl_jax.formulations.objectives.objective import Losses
from fsl_jax.formulations.objectives.ratios import ratio


@dataclasses.dataclass(frozen=True)
class MulticolumnObjective:
    """Compares the logits of all columns, side by side, with a class in each of them.

    Outputs are `[B, C]`, where C is the sum of the sizes; targets are int32 `[B, H]`, each counted
    from the first class of its column.

    Attributes:
      sizes: the number of classes of each of H columns.
    """

    sizes: tuple[int, ...]
    measure_name: ClassVar[str] = "mean_accuracy"

    def columns(self, outputs: Float[Array, "B C"]) -> list[Float[Array, "B _"]]:
        """Return the logits of each column."""
        return jnp.split(outputs, list(itertools.accumulate(self.sizes[:-1])), axis=1)

    def predictions(self, outputs: Float[Array, "B C"]) -> Int[Array, "B H"]:
        """Return the index of the largest logit of each column."""
        largest = [jnp.argmax(logits, axis=1) for logits in self.columns(outputs)]
        return jnp.stack(largest, axis=1).astype(jnp.int32)

    def losses(self, outputs: Float[Array, "B C"], targets: Int[Array, "B H"]) -> Losses:
        """Compute the cross-entropy of each column, each of which counts; see `Objective`."""
        cross_entropy = optax.losses.softmax_cross_entropy_with_integer_labels
        losses = map(cross_entropy, self.columns(outputs), targets.T)
        sums = jnp.sum(jnp.stack(list(losses)), axis=0)
        return Losses(sums, jnp.full_like(sums, len(self.sizes)))

    def statistics(
        self, outputs: Float[Array, "B C"], targets: Int[Array, "B H"]
    ) -> Float[Array, "B 2"]:
        """Count correct classes and all."""
        correct = jnp.sum(self.predictions(outputs) == targets, axis=1, dtype=jnp.float32)
        return jnp.stack([correct, jnp.full_like(correct, len(self.sizes))], axis=1)

    def measure(self, sums: Float[Array, "2"]) -> Float[Array, ""]:
        """Compute the mean of the accuracies of the columns."""
        return ratio(sums[0], sums[1])
