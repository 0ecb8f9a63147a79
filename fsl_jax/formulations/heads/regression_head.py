"""The formulation `regression_head`: a linear layer with one output, which is a number."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import numpy as np
from jaxtyping import Array, Float, Float32

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError
from fsl_jax.formulations.heads.pooled_head import PooledHead
from fsl_jax.formulations.objectives.regression import RegressionObjective
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.packing.batch import Batch


@dataclasses.dataclass(frozen=True, eq=False)
class RegressionHead(PooledHead):
    """Predicts a number, which is standardised: the output 0 is the mean, 1 a deviation above it.

    Attributes:
      pretrained: the model.
      mean: the mean of the numbers of training examples, as `number_scale` gives it.
      deviation: their standard deviation.
      pooling: as in `PooledHead`.
      max_length: as in `TextHead`.
      reserved_positions: as in `TextHead`.
    """

    mean: float
    deviation: float
    pooling: str = ""
    name: ClassVar[str] = "regression_head"
    labels = ()
    """None, since a number has no words."""

    def __post_init__(self):
        super().__post_init__()
        if not (np.isfinite([self.mean, self.deviation]).all() and self.deviation > 0):
            raise InputError(
                f"numbers with the mean {self.mean} and the deviation {self.deviation} cannot be "
                "standardised; expected finite numbers, and a deviation above 0"
            )

    @property
    def outputs_size(self) -> int:
        """1, the number."""
        return 1

    @property
    def objective(self) -> RegressionObjective:
        """The squared error, and the correlation."""
        return RegressionObjective()

    def targets(
        self, examples: Sequence[Example], tokenized: Tokenized
    ) -> Float32[np.ndarray, " E"]:
        """Return the standardised numbers."""
        numbers = np.array([example.answer for example in examples], np.float64)
        return ((numbers - self.mean) / self.deviation).astype(np.float32)

    def outputs(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, " S"]:
        """Compute the standardised number of each text; see `TextHead.outputs`."""
        return super().outputs(params, batch, dropout=dropout, key=key)[:, 0]

    def decode(
        self, outputs: Float32[np.ndarray, " E"], examples: Sequence[Example], tokenized: Tokenized
    ) -> list[float]:
        """Return the number of each example, in the units of the training examples."""
        numbers: list[float] = (outputs.astype(np.float64) * self.deviation + self.mean).tolist()
        return numbers


def number_scale(examples: Sequence[Example]) -> tuple[float, float]:
    """Return the mean and the standard deviation of the numbers of examples.

    Args:
      examples: examples whose answers are numbers.

    Returns:
      The mean and the deviation; 1 instead of a deviation of 0, where all numbers are equal.
    """
    numbers = np.array([example.answer for example in examples], np.float64)
    return float(numbers.mean()), float(numbers.std()) or 1.0
