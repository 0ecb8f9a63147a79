"""The objective of classification: one of C classes."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from fsl_jax.errors import unknown_name
from fsl_jax.formulations.objectives.objective import Losses
from fsl_jax.formulations.objectives.ratios import f1, ratio

MEASURES = ("accuracy", "macro_f1")


@dataclasses.dataclass(frozen=True)
class ClassificationObjective:
    """Compares class logits `[B, C]` with the indices of the correct classes, int32 `[B]`.

    Attributes:
      measure_name: one of `MEASURES`. The macro F1 is the mean over the classes that are predicted
        or correct at least once, as in scikit-learn.
    """

    measure_name: str = "accuracy"

    def __post_init__(self):
        if self.measure_name not in MEASURES:
            raise unknown_name("measure", self.measure_name, MEASURES)

    def predictions(self, outputs: Float[Array, "B C"]) -> Int[Array, " B"]:
        """Return the index of the largest logit."""
        return jnp.argmax(outputs, axis=-1).astype(jnp.int32)

    def losses(self, outputs: Float[Array, "B C"], targets: Int[Array, " B"]) -> Losses:
        """Compute cross-entropies; see `Objective`."""
        sums = optax.losses.softmax_cross_entropy_with_integer_labels(outputs, targets)
        return Losses(sums, jnp.ones_like(sums))

    def statistics(
        self, outputs: Float[Array, "B C"], targets: Int[Array, " B"]
    ) -> Float[Array, "B S"]:
        """Count correct answers and all, or the predicted, gold and correct ones of each class."""
        predicted = self.predictions(outputs)
        if self.measure_name == "accuracy":
            correct = (predicted == targets).astype(jnp.float32)
            return jnp.stack([correct, jnp.ones_like(correct)], axis=1)
        classes = outputs.shape[1]
        of_class = jax.nn.one_hot(predicted, classes, dtype=jnp.float32)
        gold = jax.nn.one_hot(targets, classes, dtype=jnp.float32)
        return jnp.concatenate([of_class, gold, of_class * gold], axis=1)

    def measure(self, sums: Float[Array, " S"]) -> Float[Array, ""]:
        """Compute the accuracy or the macro F1 from sums."""
        if self.measure_name == "accuracy":
            return ratio(sums[0], sums[1])
        predicted, gold, correct = jnp.split(sums, 3)
        occurs = (predicted + gold > 0).astype(jnp.float32)
        return ratio(jnp.sum(f1(predicted, gold, correct)), jnp.sum(occurs))
