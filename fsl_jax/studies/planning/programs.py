"""The planned programs of a study, and their runs."""

import dataclasses

from fsl_jax.adapt.methods.method import Method
from fsl_jax.studies.planning.written_method import WrittenMethod


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One method on one split with one learning rate.

    Attributes:
      written: the method with its text.
      seed: the seed of the split, the initialisation and the order of batches.
      learning_rate: the peak learning rate; None if nothing is trained.
    """

    written: WrittenMethod
    seed: int
    learning_rate: float | None

    @property
    def method(self) -> Method:
        """The method."""
        return self.written.method

    @property
    def method_text(self) -> str:
        """The text of the method as it was written, including settings."""
        return self.written.text


@dataclasses.dataclass(frozen=True)
class PlannedProgram:
    """The runs that one compiled program carries out, all at once or in groups.

    Attributes:
      number: the index in the plan, from 0.
      title: the model and the method in a few words, for directories and progress.
      model: the model as it was written.
      formulation: `head`, `template`, `written` or `auto`.
      steps: the number of optimiser steps; 0 if nothing is trained.
      batch_size: the number of examples per step; 0 if nothing is trained.
      runs: the runs, in the order of the results.
      size: the number of runs that the program carries out at once; 0 until it is compiled.
      steps_per_dispatch: optimiser steps in one call of the program; 0 until it is compiled.
      tokens: the tokens that a step computes, padding included; 0 until it is compiled, or if the
        representations of all examples are computed once.
      row_length: T, the length of the packed rows of a step; 0 until it is compiled.
      padding: the share of padding in the tokens of all steps, from 0 to 1.
      memory: the bytes that the program needs on a device, as reported by the compiler; 0 until it
        is compiled.
    """

    number: int
    title: str
    model: str
    formulation: str
    steps: int
    batch_size: int
    runs: tuple[PlannedRun, ...]
    size: int = 0
    steps_per_dispatch: int = 0
    tokens: int = 0
    row_length: int = 0
    padding: float = 0.0
    memory: int = 0

    @property
    def name(self) -> str:
        """The unique name, also used for files and directories: `00-minilm-l6-lora`."""
        return f"{self.number:02d}-{self.title}"

    @property
    def trains(self) -> bool:
        """True if the methods train something; False if they only prompt the model."""
        return self.runs[0].method.trains

    @property
    def groups(self) -> list[range]:
        """For each group, the indices of the runs that are carried out at once."""
        count = len(self.runs)
        return [range(at, min(at + self.size, count)) for at in range(0, count, self.size)]
