"""Carry out the programs of a study, and write their results."""

from fsl_jax.files import recover
from fsl_jax.processes import from_first
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.records.hashed_files import TIMINGS_FILE, HashedFiles
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.records.result_store import ResultStore
from fsl_jax.studies.records.timings import Timing, append_timings
from fsl_jax.studies.running.compiling import compile_planned
from fsl_jax.studies.running.fitting import run_fit
from fsl_jax.studies.running.prompting import run_prompts
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.training.program import Program


def run_programs(
    study: RunningStudy,
    store: ResultStore,
    compiled: dict[str, Program],
) -> None:
    """Carry out the programs that have no results yet.

    Args:
      study: the study.
      store: the records of the programs that have finished; those of others are added.
      compiled: programs that are compiled already, by name.

    Raises:
      Stopped: a process was asked to stop; the finished work is saved.
    """
    if study.writes:
        recover(study.directory)
    finished = from_first([planned.name for planned in store.programs if store.has(planned)])
    for planned in store.programs:
        if planned.name in finished:
            continue
        study.stop_if_asked(f"stopped before {planned.name}")
        records, seconds = _run_program(study, planned, compiled.get(planned.name))
        if study.writes:
            _write_results(study, store, planned, records, seconds)


def _run_program(
    study: RunningStudy, planned: PlannedProgram, program: Program | None
) -> tuple[list[RunRecord], dict[str, float]]:
    """Carry out one program, and return its records and the seconds of each phase."""
    if not planned.trains:
        records, seconds = run_prompts(study, planned)
        return records, {"compile": 0.0, **seconds}
    if program is None:
        _, program = compile_planned(study, planned)
    records, seconds = run_fit(study, planned, program)
    return records, {"compile": program.compile_seconds, **seconds}


def _write_results(
    study: RunningStudy,
    store: ResultStore,
    planned: PlannedProgram,
    records: list[RunRecord],
    seconds: dict[str, float],
) -> None:
    """Write the results of a program; its records come last, since they mark it as finished."""
    # Import this and the report only here: TensorBoard and plotting take seconds to import, and are
    # not needed before the first program has finished.
    from fsl_jax.studies.reporting.events import event_files

    append_timings(study.directory / TIMINGS_FILE, _share_seconds(planned, seconds))
    HashedFiles(study.directory).write(event_files(records))
    store.write(planned, records)


def _share_seconds(planned: PlannedProgram, seconds: dict[str, float]) -> list[Timing]:
    """Share the seconds of a program among its methods by their numbers of runs."""
    texts = [run.method_text for run in planned.runs]
    return [
        Timing(
            program=planned.name,
            method=text,
            model=planned.model,
            **{
                phase: round(value * texts.count(text) / len(texts), 3)
                for phase, value in seconds.items()
            },
        )
        for text in dict.fromkeys(texts)
    ]
