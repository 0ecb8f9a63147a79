"""The seconds of each phase: `timings.jsonl`, apart from the results, which stay the same bytes."""

import dataclasses
from collections.abc import Iterable

from etils import epath

from fsl_jax.studies.records.jsonl import Record, read_records, write_records


@dataclasses.dataclass(frozen=True)
class Timing(Record):
    """Seconds that one invocation spent on one program; a resumed program has several of these.

    Where a program trains several methods, each has a record with its share.

    Attributes:
      program: the program's name in the plan.
      method: the method, as in the records of its runs.
      model: the model, likewise.
      compile: seconds of tracing and compiling.
      train: seconds of training steps, validation inside the program included.
      evaluate: seconds on the test set, and on validation outside of a training program.
    """

    program: str
    method: str
    model: str
    compile: float
    train: float
    evaluate: float

    def contradictions(self) -> list[str]:
        """List the negative seconds; see `Record`."""
        values = {"compile": self.compile, "train": self.train, "evaluate": self.evaluate}
        return [
            f"{name}: {value} seconds is negative" for name, value in values.items() if value < 0
        ]


def append_timings(path: epath.PathLike, timings: Iterable[Timing]) -> None:
    """Add lines to `timings.jsonl`, which is made if it is missing.

    The file is written anew and renamed, because an append that is killed leaves half a line, and
    because object stores cannot append.

    Args:
      path: the file; its directory exists.
      timings: what to add.

    Raises:
      InputError: the file holds lines that are no timings.
      OSError: the file could not be written; what was there before is untouched.
    """
    write_records(path, [*read_timings(path), *timings])


def read_timings(path: epath.PathLike) -> tuple[Timing, ...]:
    """Read `timings.jsonl`.

    Args:
      path: the file.

    Returns:
      Its records in their order; none if there is no such file.

    Raises:
      InputError: some lines are no timings; names every one of them by number.
    """
    return read_records(path, Timing) if epath.Path(path).exists() else ()


def seconds_of(timings: Iterable[Timing], method: str, model: str) -> dict[str, float]:
    """Return the seconds that all invocations together spent on a method with a model.

    Args:
      timings: the records of the study.
      method: the method as it is written in them.
      model: the model as it is written in them.

    Returns:
      Seconds for each of "compile", "train" and "evaluate"; 0 where nothing was spent.
    """
    mine = [timing for timing in timings if (timing.method, timing.model) == (method, model)]
    phases = ("compile", "train", "evaluate")
    return {phase: sum((getattr(timing, phase) for timing in mine), 0.0) for phase in phases}
