"""A study from the question to the answer."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator
from typing import Any

import jax
from absl import logging
from etils import epath
from rich.console import Console

from fsl_jax.compilation import device_memory_limit
from fsl_jax.data.examples import Dataset
from fsl_jax.data.sources import load_dataset
from fsl_jax.data.splits import few_shot_split, test_subset
from fsl_jax.errors import InputError
from fsl_jax.files import recover, write_atomically, write_json
from fsl_jax.processes import from_first, gather, is_first, require_agreement
from fsl_jax.sharding import make_mesh
from fsl_jax.studies.planning.base_model import load_base
from fsl_jax.studies.planning.environment import describe as describe_environment
from fsl_jax.studies.planning.plan import (
    PlannedProgram,
    describe,
    plan_programs,
    read_programs,
    require_same,
)
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.records.result_store import ResultStore
from fsl_jax.studies.records.timings import Timing, append_timings, read_timings
from fsl_jax.studies.reporting.summary import Row, summarise
from fsl_jax.studies.running.fitting import compile_planned, run_fit
from fsl_jax.studies.running.progress import Progress
from fsl_jax.studies.running.prompting import make_prompted, run_prompts
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.training.program import Program
from fsl_jax.training.stopping import StopRequest

MEMORY_SHARE = 0.9
"""Share of a device's memory that a program may take."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What does not decide the results of a study.

    Attributes:
      checkpoint_seconds: at least this long between two checkpoints.
      memory_limit: bytes that a program may take on a device; 0 for most of what there is.
      command: the command to be named in the report.
      flagfile: the resolved flags, to be written beside the results.
    """

    checkpoint_seconds: float = 30.0
    memory_limit: int = 0
    command: str = ""
    flagfile: str = ""


def run_study(config: StudyConfig, output: epath.PathLike, options: Options) -> list[Row]:
    """Answers a config, or goes on where an earlier invocation stopped.

    Args:
      config: what is asked.
      output: the directory to write to. A study that has finished there is not done again.
      options: how to go about it.

    Returns:
      The rows of the table, the best first; none in a process that is not the first of several.

    Raises:
      InputError: something that was given cannot be used, or the directory holds another study.
      Stopped: the process was asked to stop; what was done is saved.
    """
    with jax.default_matmul_precision(config.matmul_precision):
        return _answer(config, epath.Path(output), options)


def _answer(config: StudyConfig, directory: epath.Path, options: Options) -> list[Row]:
    programs = plan_programs(config)
    dataset = load_study_data(config)
    data = _describe_data(dataset)
    require_agreement(dataclasses.asdict(config) | {"data": data, "output": str(directory)})
    environment = from_first(describe_environment())
    found = from_first(_read_plan(directory) if is_first() else None)
    if found is not None:
        require_same(found, describe(config, environment, data, []), directory)
        programs = read_programs(found)
        if from_first(is_first() and _finished(directory, programs)):
            logging.info("the study in %s has finished; there is nothing to do", directory)
            return _rows(ResultStore(directory, programs), directory) if is_first() else []
    compiled: dict[str, Program] = {}
    with open_study(config, directory, dataset, options) as study:
        if found is None:
            programs, compiled = compile_all(study, programs, options)
            if study.writes:
                directory.mkdir(parents=True, exist_ok=True)
                write_atomically(directory / "flags.txt", options.flagfile)
                plan = describe(config, environment, data, programs)
                write_json(directory / "plan.json", plan)
        if study.writes:
            recover(directory)
        _run_programs(study, programs, compiled)
        return _report(study, programs, environment, options) if study.writes else []


@contextlib.contextmanager
def open_study(
    config: StudyConfig, directory: epath.Path, dataset: Dataset, options: Options
) -> Iterator[RunningStudy]:
    """What the programs of a study share, while progress is shown and signals are heard.

    Args:
      config: what is asked.
      directory: where the study writes.
      dataset: the data; all splits are drawn once to see that it has enough.
      options: how to go about it.

    Yields:
      The context.
    """
    for seed in config.seeds:
        few_shot_split(dataset, config.shots, seed)
    sizes = (config.runs_axis, config.batch_axis, config.model_axis)
    alone = sizes == (1, 1, 1) and jax.process_count() == 1
    mesh = None if alone else make_mesh(*sizes)
    settings = {"dtype": config.dtype, "attention": config.attention}
    load = functools.partial(load_base, mesh=mesh, **settings)
    with Progress(None if is_first() else Console(quiet=True)) as progress, StopRequest() as stop:
        yield RunningStudy(
            config,
            directory,
            dataset,
            test_subset(dataset, config.max_test),
            mesh,
            progress,
            stop,
            options.checkpoint_seconds,
            functools.cache(load),
        )


def load_study_data(config: StudyConfig) -> Dataset:
    """The data that a question is about."""
    return load_dataset(
        config.dataset, text_column=config.text_column, label_column=config.label_column
    )


def compile_all(
    study: RunningStudy, programs: list[PlannedProgram], options: Options
) -> tuple[list[PlannedProgram], dict[str, Program]]:
    """Loads the models and compiles every program, so that what cannot be done is found first.

    Args:
      study: the study.
      programs: what was planned.
      options: the memory limit among them.

    Returns:
      The programs with what compiling told, and the compiled ones by name.
    """
    limit = min(gather(options.memory_limit or int(MEMORY_SHARE * device_memory_limit())))
    planned, compiled = [], {}
    task = study.progress.task("load and compile", len(programs))
    for number, program in enumerate(programs):
        study.stop_if_asked("stopped before the first run")
        if program.prompted:
            make_prompted(study, program)
            planned.append(dataclasses.replace(program, size=1))
        else:
            program, compiled[program.name] = compile_planned(study, program, limit)
            planned.append(program)
        task.update(number + 1)
    return planned, compiled


def _describe_data(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "sha256": dataset.sha256,
        "labels": list(dataset.labels),
        "train": len(dataset.train),
        "validation": len(dataset.validation),
        "test": len(dataset.test),
        "duplicates_removed": dataset.duplicates_removed,
    }


def _read_plan(directory: epath.Path) -> dict[str, Any] | None:
    path = directory / "plan.json"
    if not path.exists():
        if directory.exists() and any(directory.glob("results.jsonl")):
            raise InputError(f"{directory} holds results without a plan: give another --output")
        return None
    return json.loads(path.read_text())


def _run_programs(
    study: RunningStudy,
    programs: list[PlannedProgram],
    compiled: dict[str, Program],
) -> None:
    store = ResultStore(study.directory, programs)
    finished = from_first([planned.name for planned in programs if store.finished(planned)])
    for planned in programs:
        if planned.name in finished:
            continue
        study.stop_if_asked(f"stopped before {planned.name}")
        seconds = 0.0
        if planned.prompted:
            records, spent = run_prompts(study, planned)
        else:
            program = compiled.get(planned.name) or compile_planned(study, planned, 0)[1]
            seconds = program.compile_seconds
            records, spent = run_fit(study, planned, program)
        if study.writes:
            _keep(study, store, planned, records, {"compile": seconds, **spent})


def _keep(
    study: RunningStudy,
    store: ResultStore,
    planned: PlannedProgram,
    records: list[RunRecord],
    seconds: dict[str, float],
) -> None:
    methods = [run.method for run in planned.runs]
    timings = [
        Timing(
            program=planned.name,
            method=method,
            model=planned.model,
            **{
                phase: round(value * methods.count(method) / len(methods), 3)
                for phase, value in seconds.items()
            },
        )
        for method in dict.fromkeys(methods)
    ]
    # Imported here, as is the report below: TensorBoard and drawing take seconds to import, and
    # nothing needs them before the first program has finished.
    from fsl_jax.studies.reporting.events import write_events

    append_timings(study.directory / "timings.jsonl", timings)
    write_events(study.directory / "events", records)
    store.finish(planned, records)


def _finished(directory: epath.Path, programs: list[PlannedProgram]) -> bool:
    store = ResultStore(directory, programs)
    return (directory / "report.md").exists() and all(map(store.finished, programs))


def _rows(store: ResultStore, directory: epath.Path) -> list[Row]:
    return summarise(store.records(), read_timings(directory / "timings.jsonl"))


def _report(
    study: RunningStudy,
    programs: list[PlannedProgram],
    environment: dict[str, Any],
    options: Options,
) -> list[Row]:
    from fsl_jax.studies.reporting.report import write_report

    store = ResultStore(study.directory, programs)
    store.assemble()
    removed = study.dataset.duplicates_removed
    note = f"{removed} rows of the data set were duplicates and were removed before splitting."
    return write_report(
        study.directory,
        store.records(),
        read_timings(study.directory / "timings.jsonl"),
        environment,
        notes=[note] if removed else [],
        command=options.command,
        chance=1 / len(study.dataset.labels),
    )
