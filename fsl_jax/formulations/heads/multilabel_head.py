"""The formulation `multilabel_head`: a linear layer with a decision for each label."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from fsl_jax.data.examples import Example
from fsl_jax.formulations.heads.pooled_head import PooledHead
from fsl_jax.formulations.objectives.multilabel import MultilabelObjective
from fsl_jax.formulations.tokenized import Tokenized


@dataclasses.dataclass(frozen=True, eq=False)
class MultilabelHead(PooledHead):
    """Decides for each label by itself whether a text has it; answers are sorted tuples of labels.

    Attributes:
      pretrained: the model.
      labels: the C labels.
      pooling: as in `PooledHead`.
      max_length: as in `TextHead`.
      reserved_positions: as in `TextHead`.
    """

    labels: tuple[str, ...]
    pooling: str = ""
    name: ClassVar[str] = "multilabel_head"

    @property
    def outputs_size(self) -> int:
        """C, the number of labels."""
        return len(self.labels)

    @property
    def objective(self) -> MultilabelObjective:
        """The binary cross-entropy of each label."""
        return MultilabelObjective()

    def targets(
        self, examples: Sequence[Example], tokenized: Tokenized
    ) -> Float32[np.ndarray, "E C"]:
        """Return 1 for each label that an example has, and 0 for the others."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        targets = np.zeros((len(examples), len(self.labels)), np.float32)
        for row, example in zip(targets, examples, strict=True):
            row[[numbers[label] for label in example.answer]] = 1
        return targets

    def decode(
        self, outputs: Float32[np.ndarray, "E C"], examples: Sequence[Example], tokenized: Tokenized
    ) -> list[tuple[str, ...]]:
        """Return the labels with a probability above one half, sorted; there may be none."""
        return [
            tuple(sorted(self.labels[number] for number in np.flatnonzero(row)))
            for row in np.asarray(self.objective.predictions(jnp.asarray(outputs)))
        ]
