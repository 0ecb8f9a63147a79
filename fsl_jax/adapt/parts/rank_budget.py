"""The importance of singular values, and the choice of values to keep within a budget.

This is the allocation of AdaLoRA, https://arxiv.org/abs/2303.10512, section 3.2. Values that only
pad a smaller rank do not count.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Parts = dict[str, Any]

# The fields are leaves of trees: beside arrays they may be shapes or shardings, so that their
# annotations cannot be checked as shapes.


@flax.struct.dataclass
class Importance:
    """The importance of the values of one layer, or of a stack.

    Attributes:
      sensitivity: by leaf, the average of |weight * gradient|, of the leaf's shape.
      uncertainty: by leaf, the average distance of |weight * gradient| from its average.
      kept: True where a value is left, bool `[L, R]`.
      present: True where a value is not padding, bool `[L, R]`.
    """

    sensitivity: Parts
    uncertainty: Parts
    kept: Any
    present: Any

    @classmethod
    def at_start(cls, leaves: Parts, present: Bool[Array, "*L R"]) -> "Importance":
        """Return the importance before the first step, with all values kept."""
        return cls(
            jax.tree.map(jnp.zeros_like, leaves),
            jax.tree.map(jnp.zeros_like, leaves),
            present,
            jnp.copy(present),
        )

    def smoothed(self, new: Parts, keep: float, keep_uncertainty: float) -> "Importance":
        """Return the averages after one more step."""
        sensitivity = jax.tree.map(
            lambda old, latest: keep * old + (1 - keep) * latest, self.sensitivity, new
        )
        uncertainty = jax.tree.map(
            lambda old, latest, mean: (
                keep_uncertainty * old + (1 - keep_uncertainty) * jnp.abs(latest - mean)
            ),
            self.uncertainty,
            new,
            sensitivity,
        )
        return dataclasses.replace(self, sensitivity=sensitivity, uncertainty=uncertainty)

    def scores(self) -> Float[Array, "*L R"]:
        """Return the importance of each value with its vectors: `lora_a`, `lora_e` and `lora_b`."""
        score = {part: self.sensitivity[part] * self.uncertainty[part] for part in self.sensitivity}
        total = score["lora_e"] + score["lora_a"].mean(-2) + score["lora_b"].mean(-1)
        return jnp.where(self.present, total, 0.0)


def budget_at(
    step: Int[Array, ""],
    start: int,
    end: int,
    target_rank: int,
    known: Mapping[str, Importance],
) -> Int[Array, ""]:
    """Return the number of values that may be left after a step.

    Args:
      step: the number of steps taken before this one.
      start: the step after which the budget falls, by a cubic curve.
      end: the step at which it is reached.
      target_rank: the average rank at the end.
      known: by layer, the importance of its values.

    Returns:
      The number of values in all layers together.
    """
    all_values = sum(each.present.sum() for each in known.values())
    # A layer without any present value is not adapted.
    aim = target_rank * sum(each.present.any(-1).sum() for each in known.values())
    done = jnp.clip((step - start).astype(jnp.float32) / max(end - start, 1), 0.0, 1.0)
    more = jnp.maximum(all_values - aim, 0).astype(jnp.float32)
    return jnp.floor(more * (1 - done) ** 3).astype(jnp.int32) + jnp.minimum(aim, all_values)


def keep_most_important(
    known: Mapping[str, Importance], budget: Int[Array, ""]
) -> dict[str, Bool[Array, "*L R"]]:
    """Choose the values with the highest scores over all layers.

    Args:
      known: by layer, the importance of its values.
      budget: the largest number of values to keep. Ties in the scores can lead to fewer.

    Returns:
      By layer, True where a value is kept.
    """
    scores = {path: each.scores() for path, each in known.items()}
    ranked = jnp.sort(jnp.concatenate([each.reshape(-1) for each in scores.values()]))
    # Padding has the lowest possible scores, so that it is dropped first.
    removed = ranked.size - budget
    threshold = ranked[jnp.maximum(removed - 1, 0)]
    all_fit = budget >= sum(each.present.sum() for each in known.values())
    return {
        path: each.present & ((scores[path] > threshold) | all_fit) for path, each in known.items()
    }
