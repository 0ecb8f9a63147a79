"""The records of each finished program of a study, and the results file made from them."""

from collections.abc import Sequence

from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.records.hashed_files import RESULTS_FILE, HashedFiles
from fsl_jax.studies.records.jsonl import encode_records
from fsl_jax.studies.records.records import RunRecord, read_results
from fsl_jax.studies.records.sealed_records import read_sealed_records, write_sealed_records


class ResultStore:
    """The records of programs in a study's directory.

    Each program has its own file, which is written when the program has finished. `results.jsonl`
    joins these files in the order of the plan. So it has the same bytes however often the study was
    stopped and continued.

    Attributes:
      programs: all programs of the plan.
    """

    def __init__(
        self, directory: epath.Path, programs: Sequence[PlannedProgram], sealed: bool = True
    ):
        """Open the store, without reading or writing anything yet.

        Args:
          directory: the study's directory.
          programs: all programs of the plan.
          sealed: False for the files of fsl_jax 0.1.0, which do not end with their hash.
        """
        self._directory = directory
        self.programs = tuple(programs)
        self._sealed = sealed
        self._read: dict[str, tuple[RunRecord, ...]] = {}

    def has(self, program: PlannedProgram) -> bool:
        """Return True if a program has finished, so that its records exist."""
        return self._file(program).exists()

    def has_all(self) -> bool:
        """Return True if all programs have finished."""
        return all(map(self.has, self.programs))

    def write(self, program: PlannedProgram, records: Sequence[RunRecord]) -> None:
        """Write the records of a finished program, and `results.jsonl` again.

        Args:
          program: the program.
          records: one for each of its runs, in their order.
        """
        write_sealed_records(self._file(program), records)
        self._read[program.name] = tuple(records)
        self.write_results()

    def write_results(self) -> None:
        """Write `results.jsonl` from the records of all finished programs."""
        HashedFiles(self._directory).write({RESULTS_FILE: self.results()})

    def results(self) -> bytes:
        """Return the contents of `results.jsonl`."""
        return encode_records(self.records())

    def records(self) -> list[RunRecord]:
        """Return the records of all finished programs, in the order of the plan.

        Raises:
          InputError: the file of a program has changed since it was written.
        """
        return [record for records in self.by_program().values() for record in records]

    def by_program(self) -> dict[str, tuple[RunRecord, ...]]:
        """Return the records of all finished programs by name, in the order of the plan.

        Raises:
          InputError: the file of a program has changed since it was written.
        """
        return {each.name: self._records(each) for each in self.programs if self.has(each)}

    def _records(self, program: PlannedProgram) -> tuple[RunRecord, ...]:
        if program.name not in self._read:
            self._read[program.name] = self._read_file(program)
        return self._read[program.name]

    def _read_file(self, program: PlannedProgram) -> tuple[RunRecord, ...]:
        path = self._file(program)
        advice = "Remove it, and the same command runs this program again."
        if self._sealed:
            records = read_sealed_records(path, RunRecord, advice)
        else:
            records = read_results(path)
        expected = [
            (run.method_text, program.model, run.seed, run.learning_rate) for run in program.runs
        ]
        if [(r.method, r.model, r.seed, r.learning_rate) for r in records] != expected:
            raise InputError(f"{path}: its lines are not the runs of this program. {advice}")
        return records

    def _file(self, program: PlannedProgram) -> epath.Path:
        return records_file(self._directory, program.name)


def records_file(directory: epath.Path, program: str) -> epath.Path:
    """Return the file for the records of a finished program in a study's directory."""
    return directory / "programs" / f"{program}.jsonl"
