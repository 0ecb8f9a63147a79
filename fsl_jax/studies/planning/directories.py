"""Name the directories of a study's adapters, and check that no two adapters share one."""

from collections.abc import Iterable

from fsl_jax.errors import problems_error
from fsl_jax.outputs.names import directory_name, file_system_key
from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun


def adapter_directory(model: str, run: PlannedRun) -> str:
    """Return the directory of a run's adapter, relative to the study's.

    Args:
      model: the model as it was written.
      run: the run; its method is named as it was written.

    Returns:
      For example `adapters/minilm-l6/lora/seed_13`.
    """
    return "/".join(
        ["adapters", directory_name(model), directory_name(run.method_text), f"seed_{run.seed}"]
    )


def require_distinct_directories(programs: Iterable[PlannedProgram]) -> None:
    """Raise an error if two runs that can be selected would have the same directory.

    Args:
      programs: all programs of a study. Of the runs with the same model, method and seed, one is
        selected.

    Raises:
      InputError: two models or methods have the same name in files; the error lists all of them.
    """
    owners: dict[str, tuple[str, str]] = {}
    problems = []
    for program in programs:
        for run in program.runs:
            directory = adapter_directory(program.model, run)
            owner = (program.model, run.method_text)
            other = owners.setdefault(file_system_key(directory), owner)
            if other != owner:
                problems.append(
                    f"{directory}: of {' with '.join(other)}, and {' with '.join(owner)}"
                )
    if problems:
        raise problems_error(
            "two adapters would be in the same directory. Write the models or methods differently:",
            problems,
        )
