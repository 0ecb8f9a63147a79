"""Two pictures of a study: the test metric by method, and the validation curves."""

import io
import itertools
from collections.abc import Sequence
from typing import Any, Literal

from etils import epath
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fsl_jax.files import write_atomically
from fsl_jax.studies.records.records import CurvePoint, RunRecord
from fsl_jax.studies.reporting.statistics import spread
from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import result

METHODS_FILE = "accuracy_by_method.png"
CURVES_FILE = "validation_curves.png"

# Okabe and Ito (2008): eight colours that stay apart for colour-blind readers; yellow is too pale.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "D", "^", "v", "P")
INK = "#262626"
PALE = "#737373"
DASHES = ((0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 1)))


def write_plots(
    directory: epath.PathLike,
    rows: Sequence[Row],
    records: Sequence[RunRecord],
    *,
    chance: float | None = None,
) -> list[str]:
    """Writes the pictures of a study as PNG files.

    Args:
      directory: where to; it exists.
      rows: from `summarise`.
      records: all runs of the study.
      chance: the metric of a guess, in [0, 1]; drawn where given.

    Returns:
      The names of the files: the metric by method, and, if anything was trained, the curves.
    """
    pictures = {METHODS_FILE: draw_methods(rows, chance)}
    trained = [record for record in records if record.selected and record.curve]
    if trained:
        pictures[CURVES_FILE] = draw_curves(rows, records)
    for name, figure in pictures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, facecolor="white")
        write_atomically(epath.Path(directory) / name, buffer.getvalue())
    return list(pictures)


def draw_methods(rows: Sequence[Row], chance: float | None = None) -> Figure:
    """The test metric by method: a point a seed, the mean, and its 95% confidence interval.

    Args:
      rows: from `summarise`, the best first; the first is drawn on top.
      chance: the metric of a guess, in [0, 1]; a dotted line where given.

    Returns:
      The figure.
    """
    figure = Figure(figsize=(8.0, 1.5 + 0.52 * len(rows)), layout="constrained")
    axes = figure.subplots()
    models = list(dict.fromkeys(row.model for row in rows))
    for place, row in enumerate(rows):
        _draw_row(axes, place, row, models.index(row.model))
    if chance is not None:
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
    axes.set_yticks(range(len(rows)), [f"{row.method}  ·  {row.model}" for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(*_limits(_shares(rows, chance)))
    axes.set_xlabel(f"test {_metric(rows)} (%)")
    tidy(axes, grid="x")
    first = rows[0]
    title(
        figure,
        f"{first.dataset}, {first.shots} shots",
        "one point a seed · large: mean · line: 95% confidence interval of the mean",
    )
    return figure


def draw_curves(rows: Sequence[Row], records: Sequence[RunRecord]) -> Figure:
    """Validation curves of the selected runs: a panel a model, a colour a method.

    A thin line is a seed with a point at the step that was kept; the thick one is the mean, as far
    as all seeds ran. Methods that train nothing are level lines: their validation metric, or their
    test metric where validation was not measured.

    Args:
      rows: from `summarise`.
      records: all runs of the study; some selected run has a curve.

    Returns:
      The figure.
    """
    chosen = [record for record in records if record.selected]
    models = list(dict.fromkeys(record.model for record in chosen if record.curve))
    methods = sorted({record.method for record in chosen if record.curve})
    figure = Figure(figsize=(max(6.0, 4.4 * len(models)), 4.6), layout="constrained")
    panels = list(figure.subplots(1, len(models), sharey=True, squeeze=False)[0])
    for axes, model in zip(panels, models, strict=True):
        for method in methods:
            colour = COLOURS[methods.index(method) % len(COLOURS)]
            mine = [run for run in chosen if (run.method, run.model) == (method, model)]
            _draw_runs(axes, method, colour, [run for run in mine if run.curve])
        _draw_references(axes, rows, chosen)
        axes.set_title(model, fontsize=10, color=INK)
        axes.set_xlabel("optimiser steps")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        tidy(axes, grid="y")
    panels[0].set_ylabel(f"validation {_metric(rows)} (%)")
    _legend(figure, panels)
    first = rows[0]
    title(
        figure,
        f"{first.dataset}, {first.shots} shots",
        "thin: one seed, its point the step that was kept · thick: mean over seeds",
    )
    return figure


def _draw_row(axes: Axes, place: int, row: Row, model: int) -> None:
    colour, marker = COLOURS[model % len(COLOURS)], MARKERS[model % len(MARKERS)]
    axes.annotate(
        result(row),
        (1, place),
        xycoords=("axes fraction", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        color=INK,
        fontsize=9,
        fontweight="bold" if place == 0 else "normal",
    )
    if row.mean is None:
        return
    if row.ci95:
        ends = [100 * end for end in row.ci95]
        (line,) = axes.plot(ends, [place - 0.06] * 2, color=colour, alpha=0.4, linewidth=3.5)
        line.set(solid_capstyle="round", zorder=2)
    axes.scatter(
        [100 * row.mean],
        [place - 0.06],
        s=75,
        marker=marker,
        color=colour,
        zorder=4,
        edgecolors="white",
        linewidths=1.2,
    )
    values, heights = _stacked([100 * value for value in row.values.values()])
    axes.scatter(
        values,
        [place + height for height in heights],
        s=16,
        color=colour,
        alpha=0.75,
        linewidths=0,
        zorder=3,
    )


def _stacked(values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The values in order, and for each a place under the mean that keeps equal ones apart."""
    ordered = sorted(values)
    heights = [ordered[:place].count(value) for place, value in enumerate(ordered)]
    step = min(0.1, 0.24 / max([1, *heights]))
    return ordered, [0.22 + step * height for height in heights]


def _draw_runs(axes: Axes, method: str, colour: str, runs: Sequence[RunRecord]) -> None:
    curves = [_measured(run.curve) for run in runs]
    for run, curve in zip(runs, curves, strict=True):
        axes.plot(list(curve), list(curve.values()), color=colour, alpha=0.35, linewidth=0.9)
        if run.best_step in curve:
            axes.scatter([run.best_step], [curve[run.best_step]], s=20, color=colour, zorder=3)
    shared = sorted(set(curves[0]).intersection(*curves)) if curves else []
    means = [spread([curve[step] for curve in curves], (0.0, 100.0)).mean for step in shared]
    axes.plot(shared, means, color=colour, linewidth=2.4, label=method)


def _measured(curve: Sequence[CurvePoint]) -> dict[int, float]:
    return {point.step: 100 * point.metric for point in curve if point.metric is not None}


def _draw_references(axes: Axes, rows: Sequence[Row], chosen: Sequence[RunRecord]) -> None:
    untrained = [row for row in rows if not row.trainable_parameters and not row.failed]
    for row, dashes in zip(untrained, itertools.cycle(DASHES)):
        runs = [run for run in chosen if (run.method, run.model) == (row.method, row.model)]
        validations = [run.validation for run in runs if run.validation is not None]
        measured = len(validations) == len(runs)
        level = spread(validations).mean if measured else row.mean
        where = "" if measured else ", test set"
        axes.axhline(
            100 * (level or 0.0),
            color=INK,
            linestyle=dashes,
            linewidth=1.2,
            alpha=0.8,
            label=f"{row.method} ({row.model}{where})",
        )


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels: a method that several of them have is named once."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    inches = 0.9 + 0.075 * max(map(len, entries))
    columns = min(len(entries), max(1, int(figure.get_figwidth() / inches)))
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def title(figure: Figure, text: str, explanation: str) -> None:
    """A title and a smaller line below it; the title's second line keeps the room for that.

    Args:
      figure: of at least 1 inch in height.
      text: the title.
      explanation: the line below.
    """
    figure.suptitle(f"{text}\n", fontsize=12, color=INK, fontweight="bold")
    height = 1 - 0.36 / figure.get_figheight()
    figure.text(0.5, height, explanation, ha="center", fontsize=8.5, color=PALE)


def _metric(rows: Sequence[Row]) -> str:
    return rows[0].metric.replace("_", " ")


def _shares(rows: Sequence[Row], chance: float | None) -> list[float]:
    ends = [end for row in rows for end in row.ci95 or ()]
    values = [value for row in rows for value in row.values.values()]
    return [*ends, *values, *([] if chance is None else [chance])]


def _limits(shares: Sequence[float]) -> tuple[float, float]:
    """Percent from just below the least to just above the greatest; all of it if there is none."""
    if not shares:
        return 0.0, 100.0
    low, high = 100 * min(shares), 100 * max(shares)
    margin = max(2.0, 0.06 * (high - low))
    return max(-1.0, low - margin), min(101.0, high + margin)


def tidy(axes: Axes, grid: Literal["x", "y"]) -> None:
    """The look of all pictures: pale lines in one direction, and no more ink than is needed.

    Args:
      axes: a panel, drawn.
      grid: the axis whose ticks have lines.
    """
    axes.grid(axis=grid, color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.tick_params(colors=INK, length=0, labelsize=9)
