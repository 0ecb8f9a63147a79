"""The objective of multiple choice: a score for each choice."""

import dataclasses
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.formulations.objectives.masked import masked_logits
from fsl_jax.formulations.objectives.objective import Losses
from fsl_jax.formulations.objectives.ratios import ratio


class ChoiceScores(NamedTuple):
    """The scores of the choices of each question.

    Attributes:
      scores: the score of each choice, `[B, N]`.
      exists: False for the choices that a question with fewer than N of them lacks, `[B, N]`.
    """

    scores: Float[Array, "B N"]
    exists: Bool[Array, "B N"]


@dataclasses.dataclass(frozen=True)
class ChoiceObjective:
    """Compares the scores of choices with the index of the correct one, int32 `[B]`."""

    measure_name: ClassVar[str] = "accuracy"

    def predictions(self, outputs: ChoiceScores) -> Int[Array, " B"]:
        """Return the index of the choice with the highest score."""
        return jnp.argmax(masked_logits(*outputs), axis=1).astype(jnp.int32)

    def losses(self, outputs: ChoiceScores, targets: Int[Array, " B"]) -> Losses:
        """Compute the cross-entropy over the choices of each question; see `Objective`."""
        logits = masked_logits(*outputs)
        sums = optax.losses.softmax_cross_entropy_with_integer_labels(logits, targets)
        return Losses(sums, jnp.ones_like(sums))

    def statistics(self, outputs: ChoiceScores, targets: Int[Array, " B"]) -> Float[Array, "B 2"]:
        """Count correct answers and all."""
        correct = (self.predictions(outputs) == targets).astype(jnp.float32)
        return jnp.stack([correct, jnp.ones_like(correct)], axis=1)

    def measure(self, sums: Float[Array, "2"]) -> Float[Array, ""]:
        """Compute the accuracy."""
        return ratio(sums[0], sums[1])
