"""One table for several studies of the same methods."""

from collections.abc import Iterable, Mapping, Sequence

from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import markdown_table, result

Key = tuple[str, str]


def comparison_table(studies: Mapping[str, Sequence[Row]]) -> str:
    """Make a table with a line for each method and model, and a column for each study.

    Args:
      studies: the rows of each study, by the header of its column.

    Returns:
      A table in Markdown: method, model, trained parameters (the largest number in any study,
      including a task's head), mean ± deviation in percent for each study, and the seconds of all
      studies. Lines are sorted by the mean over the studies that have the method, best first.
    """
    by_key: dict[Key, dict[str, Row]] = {}
    for name, rows in studies.items():
        for row in rows:
            by_key.setdefault((row.method, row.model), {})[name] = row
    order = sorted(by_key, key=lambda key: (-_mean(by_key[key].values()), key))
    names = ["method", "model", "trained parameters", *studies, "seconds"]
    return markdown_table(names, [_cells(key, by_key[key], list(studies)) for key in order])


def _mean(rows: Iterable[Row]) -> float:
    values = [row.mean for row in rows if row.mean is not None]
    return sum(values) / len(values) if values else -1.0


def _cells(key: Key, rows: Mapping[str, Row], studies: Sequence[str]) -> list[str]:
    trained = max(row.trainable_parameters for row in rows.values())
    seconds = sum(sum(row.seconds.values()) for row in rows.values())
    results = [result(rows[name]) if name in rows else "-" for name in studies]
    return [*key, f"{trained:,}", *results, f"{seconds:,.0f}"]
