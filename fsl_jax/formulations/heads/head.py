"""The formulation `head`: a linear layer on a pooled representation of the text."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from fsl_jax.data.examples import Example
from fsl_jax.formulations.heads.pooled_head import PooledHead
from fsl_jax.formulations.labels import label_indices, most_probable
from fsl_jax.formulations.objectives.classification import ClassificationObjective
from fsl_jax.formulations.tokenized import Tokenized


@dataclasses.dataclass(frozen=True, eq=False)
class HeadFormulation(PooledHead):
    """Classifies with a linear layer on the pooled hidden states.

    Attributes:
      pretrained: the model.
      labels: the C classes.
      pooling: as in `PooledHead`.
      max_length: as in `TextHead`.
      reserved_positions: as in `TextHead`.
    """

    labels: tuple[str, ...]
    pooling: str = ""
    name: ClassVar[str] = "head"

    @property
    def outputs_size(self) -> int:
        """C, the number of classes."""
        return len(self.labels)

    @property
    def objective(self) -> ClassificationObjective:
        """The cross-entropy of the class logits."""
        return ClassificationObjective()

    def targets(self, examples: Sequence[Example], tokenized: Tokenized) -> np.ndarray:
        """Return the index of each example's class, int32 `[E]`."""
        return label_indices(examples, self.labels)

    def decode(
        self, outputs: np.ndarray, examples: Sequence[Example], tokenized: Tokenized
    ) -> list[str]:
        """Return the most probable class of each example."""
        return most_probable(outputs, self.labels)
