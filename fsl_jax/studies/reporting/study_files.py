"""Check the files of a study, and make again those that are missing."""

import dataclasses
from collections.abc import Collection
from typing import Any

from etils import epath

from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import read_bounded
from fsl_jax.studies.records.hashed_files import (
    HASHES_FILE,
    MAX_BYTES,
    REPORT_FILE,
    RESULTS_FILE,
    SUMMARY_FILE,
    TIMINGS_FILE,
    HashedFiles,
)
from fsl_jax.studies.records.result_store import ResultStore
from fsl_jax.studies.records.saved_adapters import adapter_problems
from fsl_jax.studies.records.timings import read_timings
from fsl_jax.studies.reporting.summary import Row, encode_summary, summarise

_NAMES = (RESULTS_FILE, SUMMARY_FILE, REPORT_FILE, TIMINGS_FILE)


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """The parts of the report that do not come from records.

    Attributes:
      environment: from `environment.describe`.
      notes: sentences about the study as a whole.
      command: the command that repeats the study.
      chance: the metric of guessing, in [0, 1]; None if it is not known.
    """

    environment: dict[str, Any]
    notes: tuple[str, ...]
    command: str
    chance: float | None


def require_unchanged(directory: epath.Path) -> None:
    """Raise an error if files for others have changed, or are lost and cannot be made again.

    Args:
      directory: the study's directory.

    Raises:
      InputError: files have changed, or the timings are lost. The error says what to do about each
        file.
    """
    _require_none(directory, HashedFiles(directory).problems())


def require_adapters(directory: epath.Path, store: ResultStore) -> None:
    """Raise an error if adapters of finished programs are missing or damaged.

    Args:
      directory: the study's directory.
      store: its records.

    Raises:
      InputError: there are such adapters. The error says what to do about each of them.
    """
    problems = []
    for program, records in store.by_program().items():
        advice = f"Put it back from a copy, or remove programs/{program}.jsonl to train it again."
        problems += [f"{each}. {advice}" for each in adapter_problems(directory, records)]
    _require_none(directory, problems)


def _require_none(directory: epath.Path, problems: list[str]) -> None:
    if len(problems) == 1:
        raise InputError(f"{directory}/{problems[0]}")
    if problems:
        raise problems_error(f"{directory}: files of this study are not as they were:", problems)


def read_rows(directory: epath.Path, store: ResultStore) -> list[Row]:
    """Return the rows of the table from the records of all finished programs."""
    return summarise(store.records(), read_timings(directory / TIMINGS_FILE))


def outdated_files(
    directory: epath.Path, store: ResultStore, environment: dict[str, Any]
) -> list[str]:
    """List the files of a finished study that are missing or were made before the last program.

    A kill leaves such files, and so does a user who removes some.

    Args:
      directory: the study's directory, whose files `require_unchanged` has checked.
      store: its records.
      environment: the environment in its plan.

    Returns:
      The names of the files relative to the directory.

    Raises:
      InputError: a file of unknown origin does not match the records.
    """
    names = HashedFiles(directory).names()
    expected = {
        RESULTS_FILE: store.results(),
        SUMMARY_FILE: encode_summary(read_rows(directory, store), environment),
    }
    differing = [
        name
        for name, data in expected.items()
        if (directory / name).exists() and read_bounded(directory / name, MAX_BYTES) != data
    ]
    for name in differing:
        if name not in names:
            raise InputError(
                f"{directory / name}: not made from the records of this study. Remove it, and the "
                "same command makes it again."
            )
    every = {RESULTS_FILE, SUMMARY_FILE, REPORT_FILE, HASHES_FILE, *names} - {TIMINGS_FILE}
    return sorted(name for name in every if differing or not (directory / name).exists())


def write_study_files(
    directory: epath.Path,
    store: ResultStore,
    options: ReportOptions,
    only: Collection[str] | None = None,
) -> list[Row]:
    """Write the results of a study, its report, and curves that were lost.

    Args:
      directory: the study's directory.
      store: the records of all programs.
      options: the other parts of the report.
      only: the names of the files to write; by default all.

    Returns:
      The rows of the table, the best first.
    """
    # TensorBoard and plotting take seconds to import.
    from fsl_jax.studies.reporting.events import event_files
    from fsl_jax.studies.reporting.plots import PLOTS
    from fsl_jax.studies.reporting.report import write_report

    hashed, records = HashedFiles(directory), store.records()
    if only is not None and HASHES_FILE in only:
        names = [*_NAMES, *PLOTS, *event_files(records)]
        hashed.adopt(names)
        only = {*only, *(name for name in names if not (directory / name).exists())}
    store.write_results()
    lost = {*hashed.missing(), *(only or ())}
    if any(name.startswith("events/") for name in lost):
        curves = event_files(records)
        hashed.write({name: data for name, data in curves.items() if name in lost})
    return write_report(
        directory,
        records,
        read_timings(directory / TIMINGS_FILE),
        options.environment,
        notes=options.notes,
        command=options.command,
        chance=options.chance,
        only=only,
    )
