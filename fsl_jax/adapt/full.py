"""Full fine-tuning: every leaf is trained."""

import dataclasses
from typing import Any, ClassVar

import jax

from fsl_jax.adapt.tree import Params


@dataclasses.dataclass(frozen=True)
class Full:
    """Trains all parameters that the formulation reads."""

    name: ClassVar[str] = "full"
    learning_rates: ClassVar[tuple[float, ...]] = (1e-5, 2e-5, 5e-5)
    rules: ClassVar[tuple[str, ...]] = (".",)
    settings: ClassVar[tuple[str, ...]] = ()
    structure: ClassVar[tuple[Any, ...]] = ()

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Adds nothing."""
        return params
