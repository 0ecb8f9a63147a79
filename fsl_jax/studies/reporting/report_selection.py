"""The sections of the report about the selected runs and their adapters."""

import shlex
import urllib.parse
from collections.abc import Sequence

from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import markdown_table, percent


def adapters_section(rows: Sequence[Row]) -> list[str]:
    """Explain how to evaluate an adapter; the example is the best adapter of the best row with any.

    Args:
      rows: from `summarise`, the best first.

    Returns:
      The section; empty if no adapter was saved.
    """
    saved = [row for row in rows if any(row.selected["adapter"])]
    if not saved:
        return []
    row = saved[0]
    selected = row.selected
    best = max(
        (index for index, adapter in enumerate(selected["adapter"]) if adapter),
        key=lambda index: selected["validation"][index] or 0.0,
    )
    seed = selected["seeds"][best]
    flags = {"model": row.model, "adapter": selected["adapter"][best], "dataset": row.dataset}
    arguments = " ".join(f"--{name}={shlex.quote(value)}" for name, value in flags.items())
    command = f"python -m experiments.evaluate {arguments} --output=evaluation"
    return [
        "## How to use the adapters\n\n"
        "Every selected run left its adapter in the directory named below, relative to this "
        f"report. To evaluate one, here that of `{row.method}` with seed {seed}, the best "
        f"of its row on validation examples:\n\n```sh\n{command}\n```\n\n"
        "The base model is not in it: an adapter belongs to the weights with the SHA-256 given at "
        "the end of this page."
    ]


def selection_table(rows: Sequence[Row]) -> str:
    """Make a table with a line for each selected run.

    Args:
      rows: from `summarise`, the best first.

    Returns:
      A table in Markdown.
    """
    names = ["method", "model", "adapter", "seed", "learning rate", "step", "validation", "test"]
    return markdown_table(names, [line for row in rows for line in _lines(row)], texts=3)


def _lines(row: Row) -> list[list[str]]:
    selected = row.selected
    lines = []
    for index, (seed, test) in enumerate(zip(selected["seeds"], row.runs, strict=True)):
        adapter, rate, step, validation = (
            selected[name][index]
            for name in ("adapter", "learning_rate", "best_step", "validation")
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
