"""What a study has done: the records of each finished program, and the results put together."""

from collections.abc import Sequence

from etils import epath

from fsl_jax.studies.planning.plan import PlannedProgram
from fsl_jax.studies.records.jsonl import write_records
from fsl_jax.studies.records.records import RunRecord, read_results


class ResultStore:
    """The records of programs in a study's directory.

    Each program has a file of its own, written whole when it has finished; `results.jsonl` is put
    together from them in the order of the plan. So it is the same bytes however often the study was
    stopped and gone on with.
    """

    def __init__(self, directory: epath.Path, programs: Sequence[PlannedProgram]):
        """Opens the store; nothing is written yet.

        Args:
          directory: the study's directory.
          programs: all programs of the plan.
        """
        self._directory = directory
        self._programs = programs

    def finished(self, program: PlannedProgram) -> bool:
        """Whether a program has its records."""
        return self._file(program).exists()

    def finish(self, program: PlannedProgram, records: Sequence[RunRecord]) -> None:
        """Writes the records of a program, and the results anew.

        Args:
          program: the program.
          records: one for each of its runs, in their order.
        """
        self._file(program).parent.mkdir(parents=True, exist_ok=True)
        write_records(self._file(program), records)
        self.assemble()

    def assemble(self) -> None:
        """Writes `results.jsonl` from what there is."""
        write_records(self._directory / "results.jsonl", self.records())

    def records(self) -> list[RunRecord]:
        """The records of all finished programs, in the order of the plan."""
        finished = [program for program in self._programs if self.finished(program)]
        return [record for program in finished for record in read_results(self._file(program))]

    def _file(self, program: PlannedProgram) -> epath.Path:
        return records_file(self._directory, program.name)


def records_file(directory: epath.Path, program: str) -> epath.Path:
    """Where a study in a directory keeps the records of a program once it has finished."""
    return directory / "programs" / f"{program}.jsonl"
