"""Carry out a study, from its config to its report."""

import dataclasses
from typing import Any

import jax
from absl import logging
from etils import epath

from fsl_jax.files import recover, write_atomically, write_json
from fsl_jax.processes import from_first, is_first, require_agreement
from fsl_jax.studies.planning.environment import describe as describe_environment
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.plan_file import (
    describe_data,
    describe_plan,
    describe_programs,
    read_plan,
    read_programs,
    require_same_study,
)
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.records.result_store import ResultStore
from fsl_jax.studies.records.timings import Timing, append_timings, read_timings
from fsl_jax.studies.reporting.summary import Row, summarise
from fsl_jax.studies.running.compiling import compile_all, compile_planned
from fsl_jax.studies.running.fitting import run_fit
from fsl_jax.studies.running.opening import load_study_data, open_study
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.studies.running.prompting import run_prompts
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.training.program import Program

TIMINGS_FILE = "timings.jsonl"


def run_study(config: StudyConfig, output: epath.PathLike, options: RunOptions) -> list[Row]:
    """Carry out a study, or continue one that an earlier invocation started.

    Args:
      config: the study's config.
      output: the directory to write to. If it has a finished study, nothing is done.
      options: the options of this invocation.

    Returns:
      The rows of the table, best first; empty in all processes but the first.

    Raises:
      InputError: an input cannot be used, or the directory has another study.
      Stopped: the process was asked to stop; the finished work is saved.
    """
    directory = epath.Path(output)
    with jax.default_matmul_precision(config.matmul_precision):
        programs = plan_programs(config)
        dataset = load_study_data(config)
        data = describe_data(dataset)
        require_agreement(dataclasses.asdict(config) | {"data": data, "output": str(directory)})
        plan = describe_plan(config, from_first(describe_environment()), data)
        existing = from_first(read_plan(directory) if is_first() else None)
        if existing is not None:
            require_same_study(existing, plan, directory)
            programs = read_programs(existing)
            if from_first(is_first() and _has_finished(directory, programs)):
                logging.info("the study in %s has finished; there is nothing to do", directory)
                return _read_rows(directory, programs) if is_first() else []
        with open_study(config, directory, dataset, options) as study:
            compiled: dict[str, Program] = {}
            if existing is None:
                programs, compiled = compile_all(study, programs, options)
                _write_plan(study, plan | {"programs": describe_programs(programs)}, options)
            _run_programs(study, programs, compiled)
            return _write_report(study, programs, plan["environment"], options)


def _has_finished(directory: epath.Path, programs: list[PlannedProgram]) -> bool:
    store = ResultStore(directory, programs)
    return (directory / "report.md").exists() and all(map(store.has, programs))


def _read_rows(directory: epath.Path, programs: list[PlannedProgram]) -> list[Row]:
    records = ResultStore(directory, programs).records()
    return summarise(records, read_timings(directory / TIMINGS_FILE))


def _write_plan(study: RunningStudy, plan: dict[str, Any], options: RunOptions) -> None:
    """Write the files that exist before the first run."""
    if study.writes:
        study.directory.mkdir(parents=True, exist_ok=True)
        write_atomically(study.directory / "flags.txt", options.flagfile)
        write_json(study.directory / "plan.json", plan)


def _run_programs(
    study: RunningStudy, programs: list[PlannedProgram], compiled: dict[str, Program]
) -> None:
    """Carry out the programs that have no results yet."""
    if study.writes:
        recover(study.directory)
    store = ResultStore(study.directory, programs)
    finished = from_first([planned.name for planned in programs if store.has(planned)])
    for planned in programs:
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
    from fsl_jax.studies.reporting.events import write_events

    append_timings(study.directory / TIMINGS_FILE, _share_seconds(planned, seconds))
    write_events(study.directory / "events", records)
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


def _write_report(
    study: RunningStudy,
    programs: list[PlannedProgram],
    environment: dict[str, Any],
    options: RunOptions,
) -> list[Row]:
    """Write the report in the first process and return its rows; return none elsewhere."""
    if not study.writes:
        return []
    from fsl_jax.studies.reporting.report import write_report

    store = ResultStore(study.directory, programs)
    store.write_results()
    removed = study.dataset.duplicates_removed
    note = f"{removed} rows of the data set were duplicates and were removed before splitting."
    return write_report(
        study.directory,
        store.records(),
        read_timings(study.directory / TIMINGS_FILE),
        environment,
        notes=[note] if removed else [],
        command=options.command,
        chance=1 / len(study.dataset.labels),
    )
