"""The formulation `head`: a linear layer on a pooled representation of the text."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fsl_jax.data.examples import Example
from fsl_jax.formulations.heads.pooled_head import PooledHead
from fsl_jax.formulations.labels import label_indices, most_probable
from fsl_jax.formulations.objectives.classification import ClassificationObjective
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.models.pretrained import Pretrained


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

    @dataclasses.dataclass(frozen=True)
    class Description:
        """The fields of `describe`."""

        labels: list[str]
        max_length: int
        pooling: str

    @classmethod
    def restore(
        cls, pretrained: Pretrained, labels: Sequence[str], max_length: int, pooling: str
    ) -> "HeadFormulation":
        """Make the formulation from the fields of its description."""
        return cls(pretrained, tuple(labels), pooling, max_length=max_length)

    @property
    def outputs_size(self) -> int:
        """C, the number of classes."""
        return len(self.labels)

    @property
    def objective(self) -> ClassificationObjective:
        """The cross-entropy of the class logits."""
        return ClassificationObjective()

    @property
    def initial_words(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    def targets(self, examples: Sequence[Example], tokenized: Tokenized) -> np.ndarray:
        """Return the index of each example's class, int32 `[E]`."""
        return label_indices(examples, self.labels)

    def decode(
        self, outputs: np.ndarray, examples: Sequence[Example], tokenized: Tokenized
    ) -> list[str]:
        """Return the most probable class of each example."""
        return most_probable(outputs, self.labels)

    def describe(self) -> dict[str, Any]:
        """Return the name, the labels, the limit and the pooling."""
        return {
            "name": self.name,
            "labels": list(self.labels),
            "max_length": self.limit,
            "pooling": self.pooling,
        }
