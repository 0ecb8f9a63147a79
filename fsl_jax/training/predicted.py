"""The predictions of many models."""

import dataclasses
from typing import Any

import jax
import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Predicted:
    """The predictions of N models for E examples.

    Attributes:
      answers: the answers of each model, in the form of the task; None where it gave none.
      windows: the outputs of each window of examples, an array `[N, S, ...]` or a tree of such. Of
        written answers they are the texts, `[N, S]`.
      truncated: the number of examples that were cut to the formulation's limit.
      cut_answers: the number of written answers of each model that were cut at the formulation's
        `max_answer`.
    """

    answers: list[list[Any]]
    windows: list[Any]
    truncated: int
    cut_answers: list[int]

    @property
    def outputs(self) -> Any:
        """The outputs for all segments, `[N, S, ...]`, if those of all windows have one shape."""
        return jax.tree.map(lambda *windows: np.concatenate(windows, axis=1), *self.windows)

    @property
    def unreadable(self) -> list[int]:
        """The number of examples to which each model gave no answer."""
        return [sum(answer is None for answer in answers) for answers in self.answers]
