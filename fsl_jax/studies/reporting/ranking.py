"""One table for studies of different tasks."""

from collections.abc import Mapping, Sequence

from fsl_jax.studies.reporting.metric_titles import metric_title
from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import markdown_table, percent, result

NAMES = ("data", "metric", "method", "model", "trained parameters", "%", "seconds")


def ranking_table(
    studies: Mapping[str, Sequence[Row]], baselines: Mapping[str, Mapping[str, float]]
) -> str:
    """Make a table that ranks the methods on each data set, between its trivial answers.

    Args:
      studies: the rows on each data set, by its name; all rows of one have the same metric.
      baselines: the metric of trivial answers on each data set, by their names.

    Returns:
      A table in Markdown with a line for each method and model on each data set, and for each
      trivial answer: mean ± deviation in percent, the best first.
    """
    lines = []
    for name, rows in studies.items():
        metric = metric_title(rows[0].metric)
        ranked = [(row.mean, _cells(row)) for row in rows]
        ranked += [
            (share, [answer, "-", "0", percent(share), "-"])
            for answer, share in baselines.get(name, {}).items()
        ]
        ranked.sort(key=lambda each: -1.0 if each[0] is None else each[0], reverse=True)
        lines += [[name, metric, *cells] for _, cells in ranked]
    return markdown_table(NAMES, lines, texts=4)


def _cells(row: Row) -> list[str]:
    seconds = sum(row.seconds.values())
    return [
        row.method,
        row.model,
        f"{row.trainable_parameters:,}",
        result(row),
        f"{seconds:,.0f}",
    ]
