"""LoRA: a low-rank update beside a frozen weight.

Hu et al., 2022, "LoRA: Low-Rank Adaptation of Large Language Models",
https://arxiv.org/abs/2106.09685.
"""

import dataclasses
import math
import re
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fsl_jax.adapt.method import Method
from fsl_jax.adapt.tree import Params, flatten, key_of, unflatten
from fsl_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class LoRA(Method):
    """Adds `x @ lora_a @ lora_b * (alpha / rank)` to the output of each target.

    `lora_a` is drawn uniformly and `lora_b` is zero, so that the model starts out as the base. Both
    are float32 whatever the base is. Runs of different ranks share a program: the leaves of each
    are drawn at its own rank and padded with zeros, which stay zero.

    Attributes:
      rank: R, the rank of the update.
      alpha: the numerator of the scale.
      targets: a regular expression for the layers to adapt, searched for in the path of a kernel's
        parent: `layers/attention/query`.
    """

    rank: int = 8
    alpha: float = 16.0
    targets: str = "attention/(query|value)$"
    name: ClassVar[str] = "lora"
    learning_rates: ClassVar[tuple[float, ...]] = (1e-4, 5e-4, 2e-3)
    rules: ClassVar[tuple[str, ...]] = ("/lora_[ab]$",)
    settings: ClassVar[tuple[str, ...]] = ("/lora_scale$",)

    def __post_init__(self):
        if self.rank < 1:
            raise InputError(f"lora needs a rank of at least 1, found {self.rank}")
        if not (self.alpha > 0 and math.isfinite(self.alpha)):
            raise InputError(f"lora needs a finite alpha above 0, found {self.alpha}")
        try:
            re.compile(self.targets)
        except re.error as error:
            raise InputError(
                f"lora's targets {self.targets!r} are no regular expression: {error}"
            ) from error

    @property
    def structure(self) -> tuple[Any, ...]:
        """What runs must share to be stacked."""
        return (self.targets,)

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Adds `lora_a [L, in, R]`, `lora_b [L, R, out]` and `lora_scale [L]` to each target."""
        leaves = flatten(params)
        parents = [path.removesuffix("/kernel") for path in leaves if path.endswith("/kernel")]
        chosen = [
            parent for parent in parents if re.search(self.targets, parent) and parent != "head"
        ]
        if not chosen:
            raise InputError(
                f"lora's targets {self.targets!r} match none of the layers:\n  "
                + "\n  ".join(parents)
            )
        for parent in chosen:
            leaves |= self._leaves(parent, leaves[f"{parent}/kernel"].shape, key)
        return unflatten(leaves)

    def _leaves(self, parent: str, shape: tuple[int, ...], key: jax.Array) -> Params:
        *stack, width_in, width_out = shape
        path = f"{parent}/lora_a"
        bound = 1 / math.sqrt(width_in)
        return {
            path: jax.random.uniform(
                key_of(key, path), (*stack, width_in, self.rank), jnp.float32, -bound, bound
            ),
            f"{parent}/lora_b": jnp.zeros((*stack, self.rank, width_out), jnp.float32),
            f"{parent}/lora_scale": jnp.full(stack, self.alpha / self.rank, jnp.float32),
        }
