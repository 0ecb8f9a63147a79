"""The objective of classification with several labels a text: C decisions."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from fsl_jax.formulations.objectives.objective import Losses
from fsl_jax.formulations.objectives.ratios import f1


@dataclasses.dataclass(frozen=True)
class MultilabelObjective:
    """Compares a logit for each label, `[B, C]`, with 1 where the label is correct, else 0."""

    measure_name: ClassVar[str] = "micro_f1"

    def predictions(self, outputs: Float[Array, "B C"]) -> Bool[Array, "B C"]:
        """Return True for each label whose probability is above one half."""
        return outputs > 0

    def losses(self, outputs: Float[Array, "B C"], targets: Float[Array, "B C"]) -> Losses:
        """Compute binary cross-entropies, each of which counts; see `Objective`."""
        losses = optax.losses.sigmoid_binary_cross_entropy(outputs, targets)
        sums = jnp.sum(losses, axis=1)
        return Losses(sums, jnp.full_like(sums, outputs.shape[1]))

    def statistics(
        self, outputs: Float[Array, "B C"], targets: Float[Array, "B C"]
    ) -> Float[Array, "B 3"]:
        """Count predicted, gold and correct labels."""
        predicted = self.predictions(outputs).astype(jnp.float32)
        counts = [predicted, targets, predicted * targets]
        return jnp.stack([jnp.sum(each, axis=1) for each in counts], axis=1)

    def measure(self, sums: Float[Array, "3"]) -> Float[Array, ""]:
        """Compute F1 over all labels of all examples; 0 where there are none."""
        return f1(*sums)
