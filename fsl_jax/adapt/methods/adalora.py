"""AdaLoRA: low-rank updates whose ranks are found in training, within one total budget.

Zhang et al., 2023, "AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning",
https://arxiv.org/abs/2303.10512.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.adapt.methods.low_rank import low_rank_targets
from fsl_jax.adapt.methods.method import ONLY_TRAINS, SIZE, Method
from fsl_jax.adapt.parts.patterns import find, require_pattern
from fsl_jax.adapt.parts.rank_budget import Importance, budget_at, keep_most_important
from fsl_jax.adapt.tree import Params, flatten, key_of, unflatten
from fsl_jax.errors import InputError
from fsl_jax.ranges import MAX_INT32, Range, in_range, real, whole

_PARTS = ("lora_a", "lora_e", "lora_b")
_SPREAD = 0.02


_SHARE = real(0, below=1, on_host=True)


def _of_training(default: int | float, accepted: Range) -> Any:
    return in_range(default, accepted, **ONLY_TRAINS)


@dataclasses.dataclass(frozen=True)
class AdaLoRA(Method):
    """Adds `((x @ lora_a) * lora_e) @ lora_b * (alpha / rank)` to the output of each target.

    The update has the form of a singular value decomposition. A penalty keeps the columns of
    `lora_a` and the rows of `lora_b` orthogonal. The singular values are `lora_e`. During training
    the least important values of all layers are set to zero, until `target_rank` values per layer
    are left on average. `lora_e` starts at zero, so the model starts out as the base model. All
    leaves are float32. Runs of different ranks share a program: the leaves of each run are drawn at
    its own rank and padded with zeros.

    `warmup` and `final` are fractions of the training, not counts of steps. A run keeps the leaves
    that validated best, which may be from before the budget was reached. The defaults are within
    the ranges that the paper used for GLUE: a tenth to a sixth of the steps before the budget falls
    and about half of the steps after it was reached, penalty weights of 0.1 to 0.5, and learning
    rates of 5e-4 to 2.2e-3.

    Attributes:
      rank: R, the rank of each update at the start.
      target_rank: the average rank at the end.
      alpha: the numerator of the scale. The denominator stays the rank at the start.
      targets: a regular expression for the layers to adapt, searched for in the path of a kernel's
        parent: `layers/attention/query`.
      warmup: the fraction of the training before the budget begins to fall.
      final: the fraction of the training after the budget has been reached.
      interval: singular values are set to zero every `interval` steps.
      smoothing: the weight, from 0 to 1, of the old value in the moving average of sensitivities.
      uncertainty_smoothing: the same for the average distance of sensitivities from their average.
      penalty_weight: the weight of the orthogonality penalty. The penalty is the Frobenius norm of
        `A^T A - I`, averaged over all matrices `A`. As in PEFT, this norm is not squared.
    """

    rank: int = in_range(12, SIZE)
    target_rank: int = in_range(8, SIZE)
    alpha: float = in_range(16.0, real(above=0))
    targets: str = "attention/(query|value)$"
    warmup: float = _of_training(0.1, _SHARE)
    final: float = _of_training(0.5, _SHARE)
    interval: int = _of_training(1, whole(1, MAX_INT32))
    smoothing: float = _of_training(0.85, real(above=0, below=1))
    uncertainty_smoothing: float = _of_training(0.85, real(above=0, below=1))
    penalty_weight: float = _of_training(0.1, real(0))
    name: ClassVar[str] = "adalora"
    paper: ClassVar[str] = "Zhang et al. 2023, https://arxiv.org/abs/2303.10512"
    learning_rates: ClassVar[tuple[float, ...]] = (5e-4, 1e-3, 2e-3)
    rules: ClassVar[tuple[str, ...]] = ("/lora_[abe]$",)
    frozen_rules: ClassVar[tuple[str, ...]] = ("/lora_scale$",)

    def __post_init__(self):
        super().__post_init__()
        if self.target_rank > self.rank:
            raise InputError(
                "adalora needs a target_rank from 1 to the rank at the start, "
                f"found {self.target_rank} and {self.rank}"
            )
        if self.warmup + self.final >= 1:
            raise InputError(
                "adalora needs parts of the training for warmup and final that leave some for the "
                f"budget to fall in, found {self.warmup} and {self.final}"
            )
        require_pattern("adalora's targets", self.targets)

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share: all but the rank at the start, and alpha."""
        return tuple(
            getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("rank", "alpha")
        )

    @property
    def scale(self) -> float:
        """The factor of the update; as in PEFT, the denominator is a little more than the rank."""
        return self.alpha / (self.rank + 1e-5)

    @property
    def scales(self) -> Mapping[str, float]:
        """The scale of the update."""
        return {"/lora_scale$": self.scale}

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add `lora_a [L, in, R]`, `lora_e [L, R]`, `lora_b [L, R, out]`, `lora_scale [L]`."""
        leaves = flatten(params)
        for parent in low_rank_targets("adalora", self.targets, leaves):
            *stack, width_in, width_out = leaves[f"{parent}/kernel"].shape
            leaves |= {
                f"{parent}/lora_a": self._draw(key, parent, "a", (*stack, width_in, self.rank)),
                f"{parent}/lora_e": jnp.zeros((*stack, self.rank), jnp.float32),
                f"{parent}/lora_b": self._draw(key, parent, "b", (*stack, self.rank, width_out)),
                f"{parent}/lora_scale": jnp.full(stack, self.scale, jnp.float32),
            }
        return unflatten(leaves)

    def penalty(self, params: Params) -> Float[Array, ""]:
        """Return how far the singular vectors are from orthogonal, times `penalty_weight`."""
        leaves = flatten(params)
        norms, adapted = [], []
        for path in self._adapted(leaves):
            a, b = leaves[f"{path}/lora_a"], leaves[f"{path}/lora_b"]
            present = _is_present(a).reshape(-1, 1, a.shape[-1]).astype(jnp.float32)
            identity = jnp.eye(a.shape[-1])[None] * present
            for vectors in (a, jnp.swapaxes(b, -1, -2)):
                flat = vectors.reshape(-1, *vectors.shape[-2:])
                excess = jnp.swapaxes(flat, -1, -2) @ flat - identity
                squares = jnp.square(excess).sum((-1, -2))
                # A layer that is not adapted has a square of zero, where the root has no gradient.
                positive = squares > 0
                norms.append(jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0))
                adapted.append(present.any((-1, -2)))
        count = jnp.concatenate(adapted).sum().astype(jnp.float32)
        return self.penalty_weight * jnp.concatenate(norms).sum() / count

    def initial_state(self, trainable: Params) -> dict[str, Importance]:
        """Return the initial importance of the singular values, by adapted layer."""
        leaves = flatten(trainable)
        return {
            path: Importance.at_start(
                {part: leaves[f"{path}/{part}"] for part in _PARTS},
                _is_present(leaves[f"{path}/lora_a"]),
            )
            for path in self._adapted(leaves)
        }

    def after_step(
        self,
        trainable: Params,
        frozen_leaves: Params,
        gradients: Params,
        method_state: dict[str, Importance],
        step: Int[Array, ""],
        steps: int,
    ) -> tuple[Params, dict[str, Importance]]:
        """Set the least important singular values to zero, at the steps of the schedule."""
        leaves, slopes = flatten(trainable), flatten(gradients)
        end = steps - round(self.final * steps)
        updated = {}
        for path, known in method_state.items():
            sensitivity = {
                part: jnp.abs(leaves[f"{path}/{part}"] * slopes[f"{path}/{part}"])
                for part in _PARTS
            }
            smoothed = known.smoothed(sensitivity, self.smoothing, self.uncertainty_smoothing)
            updated[path] = jax.tree.map(
                lambda new, old: jnp.where(step < end, new, old), smoothed, known
            )
        start = round(self.warmup * steps)
        left = budget_at(step, start, end, self.target_rank, updated)
        due = (step > start) & ((step % self.interval == 0) | (step >= end))
        kept = keep_most_important(updated, left)
        for path, known in updated.items():
            chosen = jnp.where(step <= end, kept[path], known.kept)
            updated[path] = dataclasses.replace(known, kept=jnp.where(due, chosen, known.kept))
            values = leaves[f"{path}/lora_e"]
            leaves[f"{path}/lora_e"] = jnp.where(due & ~chosen, 0.0, values)
        return unflatten(leaves), updated

    def _adapted(self, leaves: Params) -> list[str]:
        """Return the paths of the targets that have singular values."""
        layers = (path.removesuffix("/lora_e") for path in leaves if path.endswith("/lora_e"))
        return [
            path
            for path in layers
            if leaves[f"{path}/lora_e"] is not None and find(self.targets, path)
        ]

    def _draw(self, key: jax.Array, parent: str, name: str, shape: tuple[int, ...]) -> jax.Array:
        leaf_key = key_of(key, f"{parent}/lora_{name}")
        return _SPREAD * jax.random.normal(leaf_key, shape, jnp.float32)


def _is_present(a: Float[Array, "*L D R"]) -> Bool[Array, "*L R"]:
    """Return True for the singular vectors that were drawn; the others pad a smaller rank."""
    return (a != 0).any(-2)
