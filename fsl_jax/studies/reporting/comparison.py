"""Several studies of the same methods in one table."""

from collections.abc import Iterable, Mapping, Sequence

from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import markdown_table, result

Key = tuple[str, str]


def comparison_table(studies: Mapping[str, Sequence[Row]]) -> str:
    """One line for each method and model, with its result in every study.

    Args:
      studies: the rows of each study by its name, which heads a column.

    Returns:
      A table in Markdown: method, model, trained parameters (the most of any study, a task's head
      among them), mean ± deviation in percent for each study, seconds of all studies together. The
      best first, by the mean over the studies that a method took part in.
    """
    found: dict[Key, dict[str, Row]] = {}
    for name, rows in studies.items():
        for row in rows:
            found.setdefault((row.method, row.model), {})[name] = row
    order = sorted(found, key=lambda key: (-_mean(found[key].values()), key))
    names = ["method", "model", "trained parameters", *studies, "seconds"]
    return markdown_table(names, [_cells(key, found[key], list(studies)) for key in order])


def _mean(rows: Iterable[Row]) -> float:
    values = [row.mean for row in rows if row.mean is not None]
    return sum(values) / len(values) if values else -1.0


def _cells(key: Key, rows: Mapping[str, Row], studies: Sequence[str]) -> list[str]:
    trained = max(row.trainable_parameters for row in rows.values())
    seconds = sum(sum(row.seconds.values()) for row in rows.values())
    results = [result(rows[name]) if name in rows else "-" for name in studies]
    return [*key, f"{trained:,}", *results, f"{seconds:,.0f}"]
