"""The report of a study: first the answer, then the table, the pictures, and their caveats."""

import shlex
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any

from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.files import write_atomically
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.records.timings import Timing
from fsl_jax.studies.reporting.answer import answer
from fsl_jax.studies.reporting.plots import write_plots
from fsl_jax.studies.reporting.statistics import sampling_margin
from fsl_jax.studies.reporting.summary import Row, summarise, write_summary
from fsl_jax.studies.reporting.table import MARK, cells, footnotes, headers, markdown_table, percent


def write_report(
    directory: epath.PathLike,
    records: Sequence[RunRecord],
    timings: Iterable[Timing],
    environment: dict[str, Any],
    *,
    notes: Sequence[str] = (),
    command: str | None = None,
    chance: float | None = None,
) -> list[Row]:
    """Writes what a study found: `summary.json`, the plots, and `report.md`, which shows them.

    Args:
      directory: where to; it exists.
      records: all runs of the study, the selected ones with their test values.
      timings: what its programs took.
      environment: from `environment.describe`.
      notes: sentences about the study as a whole, such as duplicates removed from the data set.
      command: the command that gives this study again.
      chance: the metric of a guess, in [0, 1], drawn into a plot where given.

    Returns:
      The rows of the table, the best first.

    Raises:
      InputError: there are no records, they answer several questions, or none is selected.
    """
    _check_one_question(records)
    directory = epath.Path(directory)
    rows = summarise(records, timings)
    write_summary(directory / "summary.json", rows, environment)
    plots = write_plots(directory, rows, records, chance=chance)
    text = markdown(rows, records, environment, plots=plots, notes=notes, command=command)
    write_atomically(directory / "report.md", text)
    return rows


def markdown(
    rows: Sequence[Row],
    records: Sequence[RunRecord],
    environment: dict[str, Any],
    *,
    plots: Sequence[str] = (),
    notes: Sequence[str] = (),
    command: str | None = None,
) -> str:
    """The text of `report.md`.

    Args:
      rows: from `summarise`, the best first.
      records: all runs of the study.
      environment: from `environment.describe`.
      plots: file names of the pictures to embed.
      notes: sentences about the study as a whole.
      command: the command that gives this study again.

    Returns:
      Markdown, for a reader who has not seen the study before.
    """
    first = rows[0]
    config = (
        f"Which way of using a pretrained language model works best on `{first.dataset}`, "
        f"with {first.shots} labelled examples of each class?"
    )
    sections = [
        f"# {first.dataset}, {first.shots} shots",
        config,
        answer(rows),
        markdown_table(headers(rows), [cells(row) for row in rows]),
        *(f"{note}" for note in footnotes(rows)),
        *(f"![{plot.removesuffix('.png').replace('_', ' ')}]({plot})" for plot in plots),
        "## How to read this\n\n" + _bullets(_reading(rows, records)),
        *_adapters(rows),
        "## What was selected\n\n" + _selection(rows),
        *_notes(records, notes),
        "## Where the time went\n\n" + _times(rows),
        "## How it was made\n\n" + _bullets(_making(records, environment, command)),
    ]
    return "\n\n".join(sections) + "\n"


def _check_one_question(records: Sequence[RunRecord]) -> None:
    questions = sorted({(run.dataset, run.shots, run.metric) for run in records})
    if len(questions) != 1:
        found = "; ".join(f"{data}, {shots} shots, {metric}" for data, shots, metric in questions)
        raise InputError(
            f"a report answers one config, and these records answer {len(questions)}"
            f"{': ' + found if found else ''}. Give it the records of one study."
        )


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _reading(rows: Sequence[Row], records: Sequence[RunRecord]) -> list[str]:
    seeds = sorted({run.seed for run in records})
    return [
        f"Each seed ({', '.join(map(str, seeds))}) draws other training and validation examples, "
        "initial weights and orders of the batches. The test set is the same for all.",
        "`±` is the standard deviation over the seeds. The 95% confidence interval of the mean "
        "(Student's t, clipped to 0 and 100) covers the luck of those draws: with few seeds it is "
        "wide, and a single seed has none.",
        *_sampling(rows, records),
        *_constant(rows),
        _protocol(rows),
    ]


def _sampling(rows: Sequence[Row], records: Sequence[RunRecord]) -> list[str]:
    sizes = {run.test_examples for run in records if run.selected and run.test_examples}
    if rows[0].mean is None or rows[0].metric != "accuracy" or len(sizes) != 1:
        return []
    (size,) = sizes
    margin = percent(sampling_margin(rows[0].mean, size))
    return [
        f"The test set has {size} examples. For other examples of the same kind, expect the best "
        f"accuracy within {margin} points of its value here (with 95% confidence). More "
        "seeds do not change that; it moves all methods alike more than it changes their order."
    ]


def _constant(rows: Sequence[Row]) -> list[str]:
    constant = [f"`{row.method}` with `{row.model}`" for row in rows if row.std == 0]
    if not constant:
        return []
    return [
        f"{', '.join(constant)}: every seed gave the same value. A spread of 0 says that the seeds "
        "made no difference, not that the value is exact."
    ]


def _protocol(rows: Sequence[Row]) -> str:
    if all(row.selected["tried"] == len(row.runs) for row in rows):
        return (
            "There was one run for each method and seed. Validation examples chose the step whose "
            "parameters were kept."
        )
    return (
        "For each method and seed, the run with the best validation metric was chosen, and only "
        "that run saw the test set (the protocol of Gao et al. 2021)."
    )


def _adapters(rows: Sequence[Row]) -> list[str]:
    saved = [row for row in rows if any(row.selected["adapter"])]
    if not saved:
        return []
    row = saved[0]
    chosen = row.selected
    place = max(
        (place for place, adapter in enumerate(chosen["adapter"]) if adapter),
        key=lambda place: chosen["validation"][place] or 0.0,
    )
    flags = {"model": row.model, "adapter": chosen["adapter"][place], "dataset": row.dataset}
    given = " ".join(f"--{name}={shlex.quote(value)}" for name, value in flags.items())
    command = f"python -m experiments.evaluate {given} --output=evaluation"
    return [
        "## How to use the adapters\n\n"
        "Every selected run left its adapter in the directory named below, relative to this "
        f"report. To evaluate one, here that of `{row.method}` with seed {chosen['seeds'][place]}, "
        f"the best of its row on validation examples:\n\n```sh\n{command}\n```\n\n"
        "The base model is not in it: an adapter belongs to the weights with the SHA-256 given at "
        "the end of this page."
    ]


def _selection(rows: Sequence[Row]) -> str:
    names = ["method", "model", "adapter", "seed", "learning rate", "step", "validation", "test"]
    return markdown_table(names, [line for row in rows for line in _selected(row)], texts=3)


def _selected(row: Row) -> list[list[str]]:
    chosen = row.selected
    lines = []
    for place, (seed, test) in enumerate(zip(chosen["seeds"], row.runs, strict=True)):
        adapter, rate, step, validation = (
            chosen[name][place] for name in ("adapter", "learning_rate", "best_step", "validation")
        )
        lines.append(
            [
                row.method,
                row.model,
                f"[{adapter}]({urllib.parse.quote(adapter)})" if adapter else "-",
                str(seed),
                "-" if rate is None else f"{rate:g}",
                "-" if step is None else str(step),
                "-" if validation is None else percent(validation),
                "failed" if test is None else percent(test),
            ]
        )
    return lines


def _notes(records: Sequence[RunRecord], notes: Sequence[str]) -> list[str]:
    """The section of notes; what was noted of several seeds is said once, with the seeds."""
    seeds = {run.seed for run in records}
    noted: dict[str, set[int]] = {}
    for run in records:
        for note in [*run.notes, *_failure(run)]:
            noted.setdefault(f"`{run.method}` with `{run.model}`: {note}", set()).add(run.seed)
    lines = [
        note if where == seeds else f"{note} (seed {', '.join(map(str, sorted(where)))})"
        for note, where in noted.items()
    ]
    return ["## Notes\n\n" + _bullets([*notes, *lines])] if notes or lines else []


def _failure(run: RunRecord) -> list[str]:
    if not run.failed:
        return []
    rate = "" if run.learning_rate is None else f" with learning rate {run.learning_rate:g}"
    return [f"the run{rate} failed: its loss stopped being a number {MARK}"]


def _times(rows: Sequence[Row]) -> str:
    phases = ("compile", "train", "evaluate")
    names = ["method", "model", *(f"{phase} (s)" for phase in phases)]
    seconds = [[f"{row.seconds[phase]:,.1f}" for phase in phases] for row in rows]
    return markdown_table(
        names, [[row.method, row.model, *times] for row, times in zip(rows, seconds, strict=True)]
    )


def _making(
    records: Sequence[RunRecord], environment: dict[str, Any], command: str | None
) -> list[str]:
    hashes = {run.model: run.model_sha256 for run in records}
    versions = environment.get("versions", {})
    settings = {name: value for name, value in environment.items() if name != "versions"}
    return [
        *([f"Command: `{command}`"] if command else []),
        *(f"Base model `{model}`: SHA-256 `{digest}`" for model, digest in hashes.items()),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        *(f"{name.replace('_', ' ')}: {value}" for name, value in settings.items() if value != ""),
        "Every run with every setting is a line of `results.jsonl`; `summary.json` has this table.",
    ]
