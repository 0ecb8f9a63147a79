"""The plot of the test metric by method."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fsl_jax.studies.reporting.metric_titles import metric_title
from fsl_jax.studies.reporting.plot_style import (
    COLOURS,
    INK,
    MARKERS,
    PALE,
    add_title,
    label_of,
    tidy,
)
from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import result

LINE_ABOVE = 0.06
"""Distance of the mean and its interval above the middle of a row, in rows."""


def draw_methods(rows: Sequence[Row], chance: float | None = None) -> Figure:
    """Draw the test metric by method: a point for each seed, the mean and its confidence interval.

    Args:
      rows: from `summarise`, the best first; the first is drawn on top.
      chance: the metric of guessing, in [0, 1], drawn as a dotted line; None for no line.

    Returns:
      The figure.
    """
    figure = Figure(figsize=(8.0, 1.5 + 0.52 * len(rows)), layout="constrained")
    axes = figure.subplots()
    models = list(dict.fromkeys(row.model for row in rows))
    for index, row in enumerate(rows):
        _draw_row(axes, index, row, models.index(row.model))
    if chance is not None:
        _draw_chance(axes, chance)
    labels = [f"{label_of(row.method)}  ·  {label_of(row.model)}" for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(*_limits(_shares(rows, chance)))
    axes.set_xlabel(f"test {metric_title(rows[0].metric)} (%)")
    tidy(axes, grid="x")
    add_title(
        figure,
        f"{label_of(rows[0].dataset)}, {rows[0].shots} shots",
        "one point a seed · large: mean · line: 95% confidence interval of the mean",
    )
    return figure


def _draw_chance(axes: Axes, chance: float) -> None:
    axes.axvline(100 * chance, color=PALE, linestyle=":", linewidth=1.2, zorder=1)
    axes.annotate(
        "chance",
        (100 * chance, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=PALE,
        fontsize=8,
    )


def _draw_row(axes: Axes, index: int, row: Row, model: int) -> None:
    _draw_result(axes, index, row)
    if row.mean is None:
        return
    colour = COLOURS[model % len(COLOURS)]
    if row.ci95:
        ends = [100 * end for end in row.ci95]
        heights = [index - LINE_ABOVE] * 2
        (line,) = axes.plot(ends, heights, color=colour, alpha=0.4, linewidth=3.5)
        line.set(solid_capstyle="round", zorder=2)
    axes.scatter(
        [100 * row.mean],
        [index - LINE_ABOVE],
        s=75,
        marker=MARKERS[model % len(MARKERS)],
        color=colour,
        zorder=4,
        edgecolors="white",
        linewidths=1.2,
    )
    values, heights = _stacked([100 * value for value in row.values.values()])
    axes.scatter(
        values,
        [index + height for height in heights],
        s=16,
        color=colour,
        alpha=0.75,
        linewidths=0,
        zorder=3,
    )


def _draw_result(axes: Axes, index: int, row: Row) -> None:
    axes.annotate(
        result(row),
        (1, index),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        color=INK,
        fontsize=9,
        fontweight="bold" if index == 0 else "normal",
    )


def _stacked(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Sort the values, and give each a height below the mean so that equal ones do not overlap."""
    ordered = sorted(values)
    repeats = [ordered[:index].count(value) for index, value in enumerate(ordered)]
    step = min(0.1, 0.24 / max([1, *repeats]))
    return ordered, [0.22 + step * count for count in repeats]


def _shares(rows: Sequence[Row], chance: float | None) -> list[float]:
    ends = [end for row in rows for end in row.ci95 or ()]
    values = [value for row in rows for value in row.values.values()]
    return [*ends, *values, *([] if chance is None else [chance])]


def _limits(shares: Sequence[float]) -> tuple[float, float]:
    """Return limits in percent just around all shares; 0 and 100 without shares."""
    if not shares:
        return 0.0, 100.0
    low, high = 100 * min(shares), 100 * max(shares)
    margin = max(2.0, 0.06 * (high - low))
    return max(-1.0, low - margin), min(101.0, high + margin)
