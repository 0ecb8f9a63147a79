"""The records of each finished program of a study, and the results file made from them."""

from collections.abc import Sequence

from etils import epath

from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.records.jsonl import write_records
from fsl_jax.studies.records.records import RunRecord, read_results


class ResultStore:
    """The records of programs in a study's directory.

    Each program has its own file, which is written when the program has finished. `results.jsonl`
    joins these files in the order of the plan. So it has the same bytes however often the study was
    stopped and continued.
    """

    def __init__(self, directory: epath.Path, programs: Sequence[PlannedProgram]):
        """Open the store, without writing anything yet.

        Args:
          directory: the study's directory.
          programs: all programs of the plan.
        """
        self._directory = directory
        self._programs = programs

    def has(self, program: PlannedProgram) -> bool:
        """Return True if a program has finished, so that its records exist."""
        return self._file(program).exists()

    def write(self, program: PlannedProgram, records: Sequence[RunRecord]) -> None:
        """Write the records of a finished program, and `results.jsonl` again.

        Args:
          program: the program.
          records: one for each of its runs, in their order.
        """
        self._file(program).parent.mkdir(parents=True, exist_ok=True)
        write_records(self._file(program), records)
        self.write_results()

    def write_results(self) -> None:
        """Write `results.jsonl` from the records of all finished programs."""
        write_records(self._directory / "results.jsonl", self.records())

    def records(self) -> list[RunRecord]:
        """Return the records of all finished programs, in the order of the plan."""
        finished = [program for program in self._programs if self.has(program)]
        return [record for program in finished for record in read_results(self._file(program))]

    def _file(self, program: PlannedProgram) -> epath.Path:
        return records_file(self._directory, program.name)


def records_file(directory: epath.Path, program: str) -> epath.Path:
    """Return the file for the records of a finished program in a study's directory."""
    return directory / "programs" / f"{program}.jsonl"
