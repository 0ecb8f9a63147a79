"""Carry out a study, from its config to its report."""

import contextlib
import dataclasses
import itertools
from typing import Any

import jax
from absl import logging
from etils import epath

from fsl_jax.data.examples import Dataset
from fsl_jax.data.splits import test_subset
from fsl_jax.files import has_leftovers, recover, write_atomically
from fsl_jax.processes import from_first, gather, in_first, is_first, require_agreement
from fsl_jax.studies.planning.base_hashes import (
    base_problems,
    describe_base,
    require_no_problems,
    require_same_files,
)
from fsl_jax.studies.planning.environment import describe as describe_environment
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.plan_file import (
    describe_data,
    describe_plan,
    is_current,
    is_hashed,
    read_plan,
    version_error,
    write_plan,
)
from fsl_jax.studies.planning.program_entries import read_programs
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.planning.same_study import as_begun, require_same_study
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.planning.trivial_answers import trivial_answers
from fsl_jax.studies.records.hashed_files import FLAGS_FILE, REPORT_FILE
from fsl_jax.studies.records.result_store import ResultStore
from fsl_jax.studies.reporting.metric_titles import metric_title
from fsl_jax.studies.reporting.study_files import (
    ReportOptions,
    outdated_files,
    read_rows,
    require_adapters,
    require_unchanged,
    write_study_files,
)
from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import percent
from fsl_jax.studies.run_programs import run_programs
from fsl_jax.studies.running.compiling import compile_all
from fsl_jax.studies.running.opening import (
    hold_output,
    load_study_data,
    open_study,
    require_free_output,
)
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.tasks.registry import find_task

_REMOVED = "{} rows of the data set were duplicates and were removed before splitting."


def run_study(config: StudyConfig, output: epath.PathLike, options: RunOptions) -> list[Row]:
    """Carry out a study, or continue one that an earlier invocation started.

    Args:
      config: the study's config.
      output: the directory to write to. If it has a finished study, only lost files are written.
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
        dataset = load_study_data(config, options)
        data = describe_data(dataset)
        require_agreement(dataclasses.asdict(config) | {"data": data, "output": str(directory)})
        asked = describe_plan(config, from_first(describe_environment()), data)
        require_free_output(output)
        existing = in_first(lambda: read_plan(directory))
        if existing is None:
            with (
                hold_output(output, existing),
                open_study(config, directory, dataset, options) as study,
            ):
                return _begin(study, programs, asked, options)
        require_same_study(existing, asked, directory)
        programs = read_programs(existing["programs"])
        store = ResultStore(directory, programs, sealed=is_hashed(existing))
        if in_first(lambda: _has_finished(directory, store, existing)):
            outdated = in_first(lambda: _outdated(directory, store, existing))
            report = _report_options(dataset, existing, config, options)
            writes = outdated or in_first(lambda: _has_remains(directory))
            with hold_output(output, existing) if writes else contextlib.nullcontext():
                if is_first():
                    _restore_flags(directory, options)
                rows = _complete(directory, store, report, outdated) if is_first() else []
            in_first(lambda: require_adapters(directory, store))
            return rows
        with (
            hold_output(output, existing),
            open_study(as_begun(config, existing), directory, dataset, options) as study,
        ):
            return _continue(study, store, existing, options)


def _has_finished(directory: epath.Path, store: ResultStore, plan: dict[str, Any]) -> bool:
    """Check the files of a study, and return True if nothing is left to run."""
    if not is_current(plan) and not (store.has_all() and (directory / REPORT_FILE).exists()):
        raise version_error(directory, plan)
    require_unchanged(directory)
    if is_hashed(plan):
        # The others are loaded and checked when the study continues.
        left = {program.model for program in store.programs if not store.has(program)}
        others = {program.model for program in store.programs} - left
        require_same_files(directory, plan["models"], others)
    if not store.has_all():
        require_adapters(directory, store)
    return store.has_all()


def _has_remains(directory: epath.Path) -> bool:
    """Return True if `flags.txt` is lost, or a killed process left files behind."""
    return has_leftovers(directory) or not (directory / FLAGS_FILE).exists()


def _outdated(directory: epath.Path, store: ResultStore, plan: dict[str, Any]) -> list[str]:
    """List the files of a finished study that are to be made again."""
    if is_hashed(plan):
        return outdated_files(directory, store, plan["environment"])
    logging.warning(
        "the study in %s was carried out by an earlier version of fsl_jax, which kept no hashes: "
        "its files are not checked",
        directory,
    )
    return []


def _complete(
    directory: epath.Path, store: ResultStore, report: ReportOptions, outdated: list[str]
) -> list[Row]:
    """Make files of a finished study again, and return its rows."""
    if outdated:
        logging.warning(
            "files of the finished study in %s are missing or out of date, and are made again: %s",
            directory,
            ", ".join(outdated),
        )
        recover(directory)
        return write_study_files(directory, store, report, outdated)
    if has_leftovers(directory):
        recover(directory)
    logging.info("the study in %s has finished; there is nothing to do", directory)
    return read_rows(directory, store)


def _restore_flags(directory: epath.Path, options: RunOptions) -> None:
    """Write `flags.txt` again if it was lost."""
    path = directory / FLAGS_FILE
    if not path.exists():
        logging.warning("%s is missing, and is written again", path)
        write_atomically(path, options.flagfile)


def _begin(
    study: RunningStudy,
    programs: list[PlannedProgram],
    identity: dict[str, Any],
    options: RunOptions,
) -> list[Row]:
    """Compile all programs of a new study, write its plan, and carry it out."""
    programs, compiled = compile_all(study, programs, options)
    names = dict.fromkeys(program.model for program in programs)
    models = {name: describe_base(study.load(name)) for name in names}
    require_agreement({"models": models})
    baselines = trivial_answers(study.dataset, study.test) if study.writes else {}
    if study.writes:
        write_atomically(study.directory / FLAGS_FILE, options.flagfile)
        write_plan(study.directory, identity, models, programs, baselines)
    store = ResultStore(study.directory, programs)
    run_programs(study, store, compiled)
    return _write_report(study, store, {**identity, "baselines": baselines}, options)


def _continue(
    study: RunningStudy, store: ResultStore, plan: dict[str, Any], options: RunOptions
) -> list[Row]:
    """Carry out the programs of a study that have no results yet."""
    left = [program.model for program in store.programs if not store.has(program)]
    problems = [
        problem
        for name in dict.fromkeys(left)
        for problem in base_problems(name, plan["models"], describe_base(study.load(name)))
    ]
    require_no_problems(study.directory, itertools.chain(*gather(problems)))
    if study.writes:
        _restore_flags(study.directory, options)
    run_programs(study, store, {})
    return _write_report(study, store, plan, options)


def _write_report(
    study: RunningStudy, store: ResultStore, plan: dict[str, Any], options: RunOptions
) -> list[Row]:
    """Write the report in the first process and return its rows; return none elsewhere."""
    if not study.writes:
        return []
    report = _report_options(study.dataset, plan, study.config, options)
    return write_study_files(study.directory, store, report)


def _report_options(
    dataset: Dataset, plan: dict[str, Any], config: StudyConfig, options: RunOptions
) -> ReportOptions:
    removed, metric = dataset.duplicates_removed, find_task(dataset.task).metrics[0].name
    baselines = plan.get("baselines")
    if baselines is None:
        # Plans of earlier versions have none.
        baselines = trivial_answers(dataset, test_subset(dataset, config.max_test))
    found = ", ".join(f"{name} {percent(value)}" for name, value in baselines.items())
    return ReportOptions(
        environment=plan["environment"],
        notes=(
            *dataset.remarks,
            *([_REMOVED.format(removed)] if removed else []),
            f"Without a model, the {metric_title(metric)} (%) on the test set is: {found}.",
        ),
        command=options.command,
        chance=baselines.get("chance"),
    )
