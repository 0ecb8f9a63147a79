"""One table for studies of different tasks."""

import dataclasses
from collections.abc import Mapping, Sequence

from fsl_jax.studies.reporting.metric_titles import metric_title
from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import markdown_table, percent, result

NAMES = ("data", "metric", "method", "model", "trained parameters", "%", "seconds")


@dataclasses.dataclass(frozen=True)
class FinishedStudy:
    """The results of a study.

    Attributes:
      data: the name of its data set.
      rows: its rows, at least one; all have the same metric.
      baselines: the metric of trivial answers, in [0, 1], by their names.
    """

    data: str
    rows: Sequence[Row]
    baselines: Mapping[str, float]


def ranking_table(studies: Sequence[FinishedStudy]) -> str:
    """Make a table that ranks methods on each data set, with its trivial answers among them.

    Args:
      studies: the studies. Those of the same data set and metric are ranked together.

    Returns:
      A table in Markdown with a line for each method and model, and for each trivial answer, on
      each data set: mean ± deviation in percent, the best first.
    """
    # A trivial answer has the same line in all studies of the data, and stands there once.
    ranked: dict[tuple[str, str], dict[tuple[str, ...], float]] = {}
    for study in studies:
        lines = ranked.setdefault((study.data, metric_title(study.rows[0].metric)), {})
        for row in study.rows:
            lines[_cells(row)] = -1.0 if row.mean is None else row.mean
        for answer, share in study.baselines.items():
            lines[answer, "-", "0", percent(share), "-"] = share
    return markdown_table(
        NAMES,
        [
            [*key, *cells]
            for key, lines in ranked.items()
            for cells in sorted(lines, key=lines.__getitem__, reverse=True)
        ],
        texts=4,
    )


def _cells(row: Row) -> tuple[str, ...]:
    seconds = sum(row.seconds.values())
    trained = f"{row.trainable_parameters:,}"
    return row.method, row.model, trained, result(row), f"{seconds:,.0f}"
