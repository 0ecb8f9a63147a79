"""The formulation `multicolumn_head`: a linear layer for each of several columns of labels."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32

from fsl_jax.data.examples import Example
from fsl_jax.formulations.heads.pooled_head import PooledHead
from fsl_jax.formulations.objectives.multicolumn import MulticolumnObjective
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.tasks.multicolumn import labels_by_column


@dataclasses.dataclass(frozen=True, eq=False)
class MulticolumnHead(PooledHead):
    """Classifies a text in each of several columns; an answer has a label for each, in their order.

    The linear layers of the columns stand side by side in one.

    Attributes:
      pretrained: the model.
      labels: the classes, each written `column=label` as the task `multicolumn` does, column by
        column.
      pooling: as in `PooledHead`.
      max_length: as in `TextHead`.
      reserved_positions: as in `TextHead`.
    """

    labels: tuple[str, ...]
    pooling: str = ""
    name: ClassVar[str] = "multicolumn_head"

    @property
    def columns(self) -> tuple[tuple[str, ...], ...]:
        """The classes of each column, by their own names."""
        return tuple(labels_by_column(self.labels).values())

    @property
    def outputs_size(self) -> int:
        """C, the number of classes of all columns."""
        return len(self.labels)

    @property
    def objective(self) -> MulticolumnObjective:
        """The cross-entropy of each column."""
        return MulticolumnObjective(tuple(map(len, self.columns)))

    @property
    def initial_words(self) -> tuple[str, ...]:
        """The classes of all columns, each once."""
        return tuple(dict.fromkeys(label for labels in self.columns for label in labels))

    def targets(
        self, examples: Sequence[Example], tokenized: Tokenized
    ) -> Int32[np.ndarray, "E H"]:
        """Return the index of each example's class in each column."""
        numbers = [{label: n for n, label in enumerate(labels)} for labels in self.columns]
        targets = [
            [of_column[label] for of_column, label in zip(numbers, example.answer, strict=True)]
            for example in examples
        ]
        return np.array(targets, np.int32).reshape(len(examples), len(self.columns))

    def decode(
        self, outputs: Float32[np.ndarray, "E C"], examples: Sequence[Example], tokenized: Tokenized
    ) -> list[tuple[str, ...]]:
        """Return the most probable class of each column."""
        return [
            tuple(labels[number] for labels, number in zip(self.columns, row, strict=True))
            for row in np.asarray(self.objective.predictions(jnp.asarray(outputs)))
        ]
