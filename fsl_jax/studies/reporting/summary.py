"""Make the rows of the table from the records of runs; write and read `summary.json`."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

from etils import epath

from fsl_jax.errors import InputError, brief, problems_error
from fsl_jax.json_reader import parse_json
from fsl_jax.studies.records.hashed_files import read_hashed
from fsl_jax.studies.records.records import RowKey, RunRecord
from fsl_jax.studies.records.timings import Timing, seconds_of
from fsl_jax.studies.reporting.metric_titles import metric_bounds
from fsl_jax.studies.reporting.statistics import spread
from fsl_jax.validation import checked_fields


@dataclasses.dataclass(frozen=True)
class Row:
    """One method with one model: a row of the table and, field by field, of `summary.json`.

    Metrics are shares in [0, 1].

    Attributes:
      method: as in the records.
      model: as in the records.
      dataset: as in the records.
      shots: as in the records.
      metric: as in the records.
      mean: the mean over the seeds that have a value; None if every run failed.
      std: sample standard deviation over seeds; None with fewer than two values.
      ci95: 95% interval of the mean (`statistics.spread`); None with fewer than two values.
      runs: the test metric of each seed; None for a seed on which every run failed.
      trainable_parameters: the largest number of trained parameters of any run of the row.
      total_parameters: the largest number of all parameters of any run of the row.
      seconds: the total seconds of all runs of the row: "compile", "train", "evaluate".
      selected: lists in the order of `runs`: "seeds", "learning_rate", "validation", "best_step",
        "adapter"; the number of runs ("tried"), and the number of failed runs ("nan").
    """

    method: str
    model: str
    dataset: str
    shots: int
    metric: str
    mean: float | None
    std: float | None
    ci95: tuple[float, float] | None
    runs: list[float | None]
    trainable_parameters: int
    total_parameters: int
    seconds: dict[str, float]
    selected: dict[str, Any]

    @property
    def failed(self) -> bool:
        """True if no run of the row has a value."""
        return self.mean is None

    @property
    def values(self) -> dict[int, float]:
        """The test metric by seed, without the seeds that have none."""
        seeds = self.selected["seeds"]
        return {s: run for s, run in zip(seeds, self.runs, strict=True) if run is not None}


def summarise(records: Iterable[RunRecord], timings: Iterable[Timing]) -> list[Row]:
    """Make the rows of the table from the records of runs.

    Args:
      records: all runs of the study; the selected runs have test values.
      timings: the seconds of the study's programs.

    Returns:
      A row for each method and model, by descending mean of the test metric. Rows whose runs all
      failed come last.

    Raises:
      InputError: a seed has two selected runs, or no selected run although some did not fail.
    """
    groups: dict[RowKey, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(record.row, []).append(record)
    problems = [each for key, runs in groups.items() for each in _selection_problems(key, runs)]
    if problems:
        raise problems_error(
            "each method and seed needs one selected run; select before summarising:", problems
        )
    timings = list(timings)
    rows = [_row(key, runs, timings) for key, runs in groups.items()]
    return sorted(rows, key=lambda row: (row.failed, -(row.mean or 0.0), row.method, row.model))


def encode_summary(rows: Sequence[Row], environment: dict[str, Any]) -> bytes:
    """Return the contents of `summary.json`: the rows, and the environment of the study.

    Args:
      rows: from `summarise`.
      environment: from `environment.describe`.

    Returns:
      Indented JSON.
    """
    values = {"rows": [dataclasses.asdict(row) for row in rows], "environment": environment}
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def read_summary(path: epath.PathLike) -> list[Row]:
    """Read the rows in `summary.json`.

    Args:
      path: the file. If `hashes.json` beside it has its hash, the file must not have changed.

    Returns:
      The rows.

    Raises:
      InputError: the file does not exist or has changed, or is not the summary of a study.
    """
    path = epath.Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file; its study has not finished")
    return parse_summary(read_hashed(path), path)


def parse_summary(data: bytes, source: object) -> list[Row]:
    """Return the rows in the contents of `summary.json`.

    Args:
      data: the contents.
      source: the file, for the error.

    Returns:
      The rows.

    Raises:
      InputError: the contents are not the summary of a study; the error lists all problems.
    """
    rows = parse_json(data, source).get("rows")
    if not isinstance(rows, list):
        raise InputError(f"{source}: not the summary of a study: rows: expected a list")
    checked, problems = [], []
    for number, row in enumerate(rows):
        try:
            checked.append(_checked_row(row))
        except InputError as error:
            problems.append(f"row {number}: {error}")
    if problems:
        raise problems_error(f"{source}: not the summary of a study:", problems)
    return checked


@dataclasses.dataclass(frozen=True)
class _Interval:
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class _Selected:
    seeds: list[int]
    learning_rate: list[float | None]
    validation: list[float | None]
    best_step: list[int | None]
    adapter: list[str | None]
    tried: int
    nan: int


def _checked_row(values: Any) -> Row:
    if not isinstance(values, dict):
        raise InputError(f"expected an object, found {brief(values)}")
    row = Row(**checked_fields(Row, values | {"ci95": None}))
    selected = checked_fields(_Selected, row.selected)
    if any(isinstance(each, list) and len(each) != len(row.runs) for each in selected.values()):
        raise InputError(f"selected: expected lists of {len(row.runs)} values, as in runs")
    return dataclasses.replace(row, ci95=_interval(values.get("ci95")), selected=selected)


def _interval(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"ci95: expected [low, high], found {brief(value)}")
    interval = _Interval(**checked_fields(_Interval, {"low": value[0], "high": value[1]}))
    return interval.low, interval.high


def _by_seed(runs: list[RunRecord]) -> dict[int, list[RunRecord]]:
    ordered = sorted(runs, key=lambda run: run.seed)
    groups = itertools.groupby(ordered, key=lambda run: run.seed)
    return {seed: list(of_seed) for seed, of_seed in groups}


def _selection_problems(key: RowKey, runs: list[RunRecord]) -> list[str]:
    problems = []
    for seed, of_seed in _by_seed(runs).items():
        selected = sum(run.selected for run in of_seed)
        if selected != 1 and not all(run.failed for run in of_seed):
            problems.append(
                f"{key.method} with {key.model}, seed {seed}: {selected} runs are selected"
            )
    return problems


def _row(key: RowKey, runs: list[RunRecord], timings: list[Timing]) -> Row:
    by_seed = _by_seed(runs)
    chosen = [next((run for run in of_seed if run.selected), None) for of_seed in by_seed.values()]
    tests = [run.test for run in chosen if run is not None and run.test is not None]
    over_seeds = spread(tests, metric_bounds(key.metric)) if tests else None
    return Row(
        *key,
        mean=over_seeds.mean if over_seeds else None,
        std=over_seeds.std if over_seeds else None,
        ci95=over_seeds.ci95 if over_seeds else None,
        runs=[run.test if run else None for run in chosen],
        trainable_parameters=max(run.trainable_parameters for run in runs),
        total_parameters=max(run.total_parameters for run in runs),
        seconds=seconds_of(timings, key.method, key.model),
        selected=_selected(list(by_seed), chosen, runs),
    )


def _selected(
    seeds: list[int], chosen: list[RunRecord | None], runs: list[RunRecord]
) -> dict[str, Any]:
    names = ("learning_rate", "validation", "best_step", "adapter")
    by_seed = {name: [getattr(run, name) if run else None for run in chosen] for name in names}
    counts = {"tried": len(runs), "nan": sum(run.failed for run in runs)}
    return {"seeds": seeds, **by_seed, **counts}
