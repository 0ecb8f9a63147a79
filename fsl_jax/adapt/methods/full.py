"""Full fine-tuning: every leaf is trained."""

import dataclasses
from typing import ClassVar

from fsl_jax.adapt.methods.method import Method


@dataclasses.dataclass(frozen=True)
class Full(Method):
    """Trains every parameter that the formulation reads."""

    name: ClassVar[str] = "full"
    paper: ClassVar[str] = "Howard and Ruder 2018, https://arxiv.org/abs/1801.06146"
    learning_rates: ClassVar[tuple[float, ...]] = (1e-5, 2e-5, 5e-5)
    rules: ClassVar[tuple[str, ...]] = (".",)
    alone_because: ClassVar[str] = (
        "it trains every parameter, and what the others add beside it is not what they are"
    )
