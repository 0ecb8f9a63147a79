"""Linear probe: only the task head is trained, on the representations of the base model."""

import dataclasses
from typing import ClassVar

from fsl_jax.adapt.mask import HEAD_RULE
from fsl_jax.adapt.methods.method import Method


@dataclasses.dataclass(frozen=True)
class LinearProbe(Method):
    """Trains the task head alone, so it needs the formulation `head`."""

    name: ClassVar[str] = "linear_probe"
    paper: ClassVar[str] = "Alain and Bengio 2017, https://arxiv.org/abs/1610.01644"
    learning_rates: ClassVar[tuple[float, ...]] = (1e-3, 1e-2, 1e-1)
    rules: ClassVar[tuple[str, ...]] = (HEAD_RULE,)
    default_formulation: ClassVar[str] = "head"
    alone_because: ClassVar[str] = "it trains the task head alone, which every method trains"
