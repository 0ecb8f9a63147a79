"""BitFit: only the biases are trained.

Ben Zaken, Ravfogel and Goldberg, 2022, "BitFit: Simple Parameter-efficient Fine-tuning for
Transformer-based Masked Language-models", https://aclanthology.org/2022.acl-short.1.
"""

import dataclasses
from typing import ClassVar

from fsl_jax.adapt.methods.method import Method


@dataclasses.dataclass(frozen=True)
class BitFit(Method):
    """Trains every bias; a family without biases, such as Llama, has nothing to train."""

    name: ClassVar[str] = "bitfit"
    paper: ClassVar[str] = "Ben Zaken et al. 2022, https://aclanthology.org/2022.acl-short.1"
    learning_rates: ClassVar[tuple[float, ...]] = (5e-4, 1e-3, 5e-3)
    # The head's bias does not count: in a model without biases, BitFit has nothing to train.
    rules: ClassVar[tuple[str, ...]] = ("^(?!head/).*/bias$",)
