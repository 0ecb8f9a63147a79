"""The seconds of each phase, in `timings.jsonl`, so that the bytes of the results do not change."""

import dataclasses
from collections.abc import Iterable

from etils import epath

from fsl_jax.studies.records.hashed_files import HashedFiles
from fsl_jax.studies.records.jsonl import Record, encode_records, read_records


@dataclasses.dataclass(frozen=True)
class Timing(Record):
    """The seconds that one invocation spent on one program; a resumed program has several records.

    If a program trains several methods, each has a record with its share.

    Attributes:
      program: the program's name in the plan.
      method: the method, as in the records of its runs.
      model: the model, as in the records of its runs.
      compile: seconds of tracing and compiling.
      train: seconds of training steps, including validation inside the program.
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
    """Add lines to `timings.jsonl`, which is created if it is missing.

    A new file is written and renamed, because a killed append would leave half a line, and object
    stores cannot append. Its hash goes into `hashes.json` beside it.

    Args:
      path: the file.
      timings: the records to add.

    Raises:
      InputError: the file has changed since it was written, is lost, or has lines that are not
        timings.
      OSError: the file could not be written; the old file is not changed.
    """
    path = epath.Path(path)
    contents = encode_records([*read_timings(path), *timings])
    HashedFiles(path.parent).write({path.name: contents})


def read_timings(path: epath.PathLike) -> tuple[Timing, ...]:
    """Read `timings.jsonl`.

    Args:
      path: the file. If `hashes.json` beside it has its hash, the file must not have changed.

    Returns:
      The records in order; empty if the file was never written.

    Raises:
      InputError: the file has changed or is lost, or some lines are not timings; the error names
        the number of every such line.
    """
    path = epath.Path(path)
    if not path.exists():
        HashedFiles(path.parent).check(path.name, None)
        return ()
    return read_records(path, Timing)


def seconds_of(timings: Iterable[Timing], method: str, model: str) -> dict[str, float]:
    """Return the total seconds that all invocations spent on a method with a model.

    Args:
      timings: the records of the study.
      method: the method as it is written in them.
      model: the model as it is written in them.

    Returns:
      Seconds for each of "compile", "train" and "evaluate"; 0 if no time was spent.
    """
    mine = [timing for timing in timings if (timing.method, timing.model) == (method, model)]
    phases = ("compile", "train", "evaluate")
    return {phase: sum((getattr(timing, phase) for timing in mine), 0.0) for phase in phases}
