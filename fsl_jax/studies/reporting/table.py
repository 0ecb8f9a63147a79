"""The table of a study's results, for terminals and for Markdown."""

from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from fsl_jax.studies.reporting.metric_titles import metric_title
from fsl_jax.studies.reporting.summary import Row

MARK = "†"


def headers(rows: Sequence[Row]) -> list[str]:
    """Return the headers of the table.

    Args:
      rows: the rows of the table, at least one, all with the same metric.

    Returns:
      A header for each text that `cells` returns.
    """
    metric = metric_title(rows[0].metric)
    return ["method", "model", "trained parameters", f"{metric} (%)", "95% CI", "seconds"]


def cells(row: Row) -> list[str]:
    """Format a row: method, model, trained parameters, mean ± deviation, interval, seconds.

    Args:
      row: the row.

    Returns:
      A text for each of `headers`; the mean has a mark if the row has a footnote.
    """
    share = row.trainable_parameters / row.total_parameters if row.total_parameters else 0.0
    trained = f"{row.trainable_parameters:,} ({share:.2%})" if row.trainable_parameters else "0"
    marked = f" {MARK}" if row.selected["nan"] else ""
    return [row.method, row.model, trained, result(row) + marked, interval(row), _seconds(row)]


def result(row: Row) -> str:
    """Format the mean of a row with its standard deviation in percent: `88.2 ± 1.1`.

    Args:
      row: the row.

    Returns:
      The text; without a deviation for a single value, and `failed` if there is no value.
    """
    if row.mean is None:
        return "failed"
    return percent(row.mean) + (f" ± {percent(row.std)}" if row.std is not None else "")


def interval(row: Row) -> str:
    """Format the confidence interval of a row in percent: `85.5 to 90.9`.

    Args:
      row: the row.

    Returns:
      The text; a dash if the row has no interval.
    """
    return " to ".join(map(percent, row.ci95)) if row.ci95 else "-"


def percent(share: float) -> str:
    """Format a share in percent with one decimal.

    Args:
      share: the share, from 0 to 1.

    Returns:
      The number without a percent sign.
    """
    return f"{100 * share:.1f}"


def footnotes(rows: Sequence[Row]) -> list[str]:
    """Explain the marks in the table, which mark rows with failed runs.

    Args:
      rows: the rows of the table.

    Returns:
      A sentence for each row with failed runs.
    """
    return [
        f"{MARK} {row.method} with {row.model}: {_failures(row)}"
        for row in rows
        if row.selected["nan"]
    ]


def terminal_table(rows: Sequence[Row]) -> Table:
    """Make the table for a terminal; print it with a `rich.console.Console`.

    Args:
      rows: from `summarise`, the best first.

    Returns:
      The table, with its footnotes below it.
    """
    first = rows[0]
    table = Table(
        title=Text(f"{first.dataset}, {first.shots} shots", style="table.title"),
        caption=Text("\n" + "\n".join(footnotes(rows))) if footnotes(rows) else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        show_edge=False,
    )
    for name in headers(rows):
        is_text = name in ("method", "model")
        header = Text(name.replace("trained ", "trained\n"))
        justify: Literal["left", "right"] = "left" if is_text else "right"
        table.add_column(header, justify=justify, no_wrap=not is_text, overflow="fold")
    for index, row in enumerate(rows):
        style = "red" if row.failed else "bold" if index == 0 else None
        table.add_row(*map(Text, cells(row)), style=style)
    return table


def markdown_table(names: Sequence[str], lines: Sequence[Sequence[str]], texts: int = 2) -> str:
    """Make a table in Markdown.

    Args:
      names: the headers.
      lines: the cells of each line, one for each header.
      texts: the number of leading columns with texts; the other columns are aligned to the right.

    Returns:
      The lines of the table.
    """
    rule = ["---" if column < texts else "---:" for column in range(len(names))]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in [names, rule, *lines]]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _seconds(row: Row) -> str:
    total = sum(row.seconds.values())
    return f"{total:,.0f}" if total >= 10 else f"{total:.1f}"


def _failures(row: Row) -> str:
    text = (
        f"the loss of {row.selected['nan']} of {row.selected['tried']} runs stopped being a number"
    )
    missing = [seed for seed in row.selected["seeds"] if seed not in row.values]
    if missing:
        return f"{text}; no value for seed {', '.join(map(str, missing))}."
    return f"{text}; they took no part in the selection."
