"""The report of a study: the conclusion, the table, the plots, and how to read them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.studies.records.hashed_files import REPORT_FILE, SUMMARY_FILE, HashedFiles
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.records.timings import Timing
from fsl_jax.studies.reporting.conclusion import conclusion
from fsl_jax.studies.reporting.plots import plot_files
from fsl_jax.studies.reporting.report_notes import how_it_was_made, notes_of, seconds_table
from fsl_jax.studies.reporting.report_reading import how_to_read
from fsl_jax.studies.reporting.report_selection import adapters_section, selection_table
from fsl_jax.studies.reporting.summary import Row, encode_summary, summarise
from fsl_jax.studies.reporting.table import cells, footnotes, headers, markdown_table


def write_report(
    directory: epath.PathLike,
    records: Sequence[RunRecord],
    timings: Iterable[Timing],
    environment: dict[str, Any],
    *,
    notes: Sequence[str] = (),
    command: str | None = None,
    chance: float | None = None,
    only: Collection[str] | None = None,
) -> list[Row]:
    """Write the results of a study: `summary.json`, the plots, and `report.md` with these plots.

    Args:
      directory: the directory to write to.
      records: all runs of the study; the selected runs have test values.
      timings: the seconds of its programs.
      environment: from `environment.describe`.
      notes: sentences about the study as a whole, such as duplicates removed from the data set.
      command: the command that repeats the study.
      chance: the metric of guessing, in [0, 1], drawn in a plot; None for no line.
      only: the names of the files to write; by default all.

    Returns:
      The rows of the table, the best first.

    Raises:
      InputError: there are no records, they are of several studies, or none is selected.
    """
    _require_one_study(records)
    rows = summarise(records, timings)
    plots = plot_files(rows, records, chance=chance)
    text = markdown(rows, records, environment, plots=[*plots], notes=notes, command=command)
    contents = {
        SUMMARY_FILE: encode_summary(rows, environment),
        **plots,
        REPORT_FILE: text.encode(),
    }
    # The report comes last, since it shows the others.
    chosen = {name: data for name, data in contents.items() if only is None or name in only}
    HashedFiles(directory).write(chosen)
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
    """Write the text of `report.md`.

    Args:
      rows: from `summarise`, the best first.
      records: all runs of the study.
      environment: from `environment.describe`.
      plots: the file names of the plots to embed.
      notes: sentences about the study as a whole.
      command: the command that repeats the study.

    Returns:
      Markdown for a reader who does not know the study.
    """
    first = rows[0]
    question = (
        f"Which way of using a pretrained language model works best on `{first.dataset}`, "
        f"with {first.shots} labelled examples of each kind?"
    )
    sections = [
        f"# {first.dataset}, {first.shots} shots",
        question,
        conclusion(rows),
        markdown_table(headers(rows), [cells(row) for row in rows]),
        *footnotes(rows),
        *(f"![{plot.removesuffix('.png').replace('_', ' ')}]({plot})" for plot in plots),
        "## How to read this\n\n" + _bullets(how_to_read(rows, records)),
        *adapters_section(rows),
        "## What was selected\n\n" + selection_table(rows),
        *_notes_section([*notes, *notes_of(records)]),
        "## Where the time went\n\n" + seconds_table(rows),
        "## How it was made\n\n" + _bullets(how_it_was_made(records, environment, command)),
    ]
    return "\n\n".join(sections) + "\n"


def _require_one_study(records: Sequence[RunRecord]) -> None:
    studies = sorted({(run.dataset, run.shots, run.metric) for run in records})
    if len(studies) != 1:
        names = "; ".join(f"{data}, {shots} shots, {metric}" for data, shots, metric in studies)
        raise InputError(
            f"a report is about one study, and these records are of {len(studies)}"
            f"{': ' + names if names else ''}. Give it the records of one study."
        )


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _notes_section(notes: Sequence[str]) -> list[str]:
    return ["## Notes\n\n" + _bullets(notes)] if notes else []
