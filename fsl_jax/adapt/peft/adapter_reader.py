"""An adapter that is being read, with the problems found so far."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.errors import problems_error
from fsl_jax.models.pretrained import Pretrained


@dataclasses.dataclass(frozen=True)
class AdapterReader:
    """The files of an adapter; problems are collected, so that one error lists them all.

    Attributes:
      values: the values of `adapter_config.json`.
      tensors: the tensors by PEFT's names.
      pretrained: the base model.
      source: the adapter's directory, for errors.
      readable: a sentence that says which adapters of this kind can be read, for errors.
      problems: the problems of the adapter.
    """

    values: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    pretrained: Pretrained
    source: epath.PathLike
    readable: str
    problems: list[str] = dataclasses.field(default_factory=list)

    def report(self, problems: Iterable[str]) -> None:
        """Add problems to the list for the error."""
        self.problems.extend(problems)

    def require_none(self, problems: Iterable[str]) -> None:
        """Raise the error at once if there are problems that prevent further reading."""
        if problems := list(problems):
            self.report(problems)
            self.finish()

    def finish(self) -> None:
        """Raise one error for all problems, if there are any."""
        if self.problems:
            raise problems_error(
                f"{self.source}: this adapter cannot be used with {self.pretrained.name}. "
                f"{self.readable}:",
                self.problems,
            )
