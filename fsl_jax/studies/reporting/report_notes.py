"""The sections of the report about notes, seconds, versions and the command."""

from collections.abc import Sequence
from typing import Any

from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import MARK, markdown_table


def notes_of(records: Sequence[RunRecord]) -> list[str]:
    """Collect the notes of all runs; a note that several seeds share appears once, with the seeds.

    Args:
      records: all runs of the study.

    Returns:
      The notes, each with its method and model.
    """
    seeds = {run.seed for run in records}
    noted: dict[str, set[int]] = {}
    for run in records:
        for note in [*run.notes, *_failure(run)]:
            noted.setdefault(f"`{run.method}` with `{run.model}`: {note}", set()).add(run.seed)
    return [
        note if noted_in == seeds else f"{note} (seed {', '.join(map(str, sorted(noted_in)))})"
        for note, noted_in in noted.items()
    ]


def _failure(run: RunRecord) -> list[str]:
    if not run.failed:
        return []
    rate = "" if run.learning_rate is None else f" with learning rate {run.learning_rate:g}"
    return [f"the run{rate} failed: its loss stopped being a number {MARK}"]


def seconds_table(rows: Sequence[Row]) -> str:
    """Make a table of the seconds of each row by phase.

    Args:
      rows: from `summarise`, the best first.

    Returns:
      A table in Markdown.
    """
    phases = ("compile", "train", "evaluate")
    names = ["method", "model", *(f"{phase} (s)" for phase in phases)]
    seconds = [[f"{row.seconds[phase]:,.1f}" for phase in phases] for row in rows]
    return markdown_table(
        names, [[row.method, row.model, *times] for row, times in zip(rows, seconds, strict=True)]
    )


def how_it_was_made(
    records: Sequence[RunRecord], environment: dict[str, Any], command: str | None
) -> list[str]:
    """Name the command, the base models, the versions and the environment.

    Args:
      records: all runs of the study.
      environment: from `environment.describe`.
      command: the command that repeats the study, if it is known.

    Returns:
      An entry for each fact.
    """
    hashes = {run.model: run.model_sha256 for run in records}
    versions = environment.get("versions", {})
    others = {name: value for name, value in environment.items() if name != "versions"}
    return [
        *([f"Command: `{command}`"] if command else []),
        *(f"Base model `{model}`: SHA-256 `{digest}`" for model, digest in hashes.items()),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        *(f"{name.replace('_', ' ')}: {value}" for name, value in others.items() if value != ""),
        "Every run with every setting is a line of `results.jsonl`; `summary.json` has this table.",
    ]
