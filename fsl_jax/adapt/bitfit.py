"""BitFit: only the biases are trained.

Ben Zaken, Ravfogel and Goldberg, 2022, "BitFit: Simple Parameter-efficient Fine-tuning for
Transformer-based Masked Language-models", https://aclanthology.org/2022.acl-short.1.
"""

import dataclasses
from typing import ClassVar

import jax

from fsl_jax.adapt.tree import Params


@dataclasses.dataclass(frozen=True)
class BitFit:
    """Trains every bias; a family without biases, such as Llama, has nothing to train."""

    name: ClassVar[str] = "bitfit"
    learning_rates: ClassVar[tuple[float, ...]] = (5e-4, 1e-3, 5e-3)
    rules: ClassVar[tuple[str, ...]] = ("/bias$",)
    settings: ClassVar[tuple[str, ...]] = ()

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Adds nothing."""
        return params
