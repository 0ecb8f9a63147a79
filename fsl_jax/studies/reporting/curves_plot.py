"""The plot of the validation curves."""

import itertools
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fsl_jax.studies.records.records import CurvePoint, RunRecord
from fsl_jax.studies.reporting.plot_style import COLOURS, INK, add_legend, add_title, label_of, tidy
from fsl_jax.studies.reporting.statistics import spread
from fsl_jax.studies.reporting.summary import Row

DASHES = ((0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 1)))


def draw_curves(rows: Sequence[Row], records: Sequence[RunRecord]) -> Figure:
    """Draw the validation curves of the selected runs: a panel per model, a colour per method.

    Each thin line is a seed, with a point at the step whose parameters were kept. The thick line is
    the mean, up to the last step that all seeds reached. A method that trains nothing is a
    horizontal line at its validation metric, or at its test metric if validation was not measured.

    Args:
      rows: from `summarise`.
      records: all runs of the study; at least one selected run must have a curve.

    Returns:
      The figure.
    """
    selected = [record for record in records if record.selected]
    models = list(dict.fromkeys(record.model for record in selected if record.curve))
    figure = Figure(figsize=(max(6.0, 4.4 * len(models)), 4.6), layout="constrained")
    panels = list(figure.subplots(1, len(models), sharey=True, squeeze=False)[0])
    for axes, model in zip(panels, models, strict=True):
        _draw_panel(axes, model, rows, selected)
    panels[0].set_ylabel(f"validation {rows[0].metric.replace('_', ' ')} (%)")
    add_legend(figure, panels)
    add_title(
        figure,
        f"{label_of(rows[0].dataset)}, {rows[0].shots} shots",
        "thin: one seed, its point the step that was kept · thick: mean over seeds",
    )
    return figure


def _draw_panel(axes: Axes, model: str, rows: Sequence[Row], selected: Sequence[RunRecord]) -> None:
    methods = sorted({record.method for record in selected if record.curve})
    for number, method in enumerate(methods):
        runs = [run for run in selected if (run.method, run.model) == (method, model) and run.curve]
        _draw_runs(axes, method, COLOURS[number % len(COLOURS)], runs)
    _draw_references(axes, rows, selected)
    axes.set_title(label_of(model), fontsize=10, color=INK)
    axes.set_xlabel("optimiser steps")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    tidy(axes, grid="y")


def _draw_runs(axes: Axes, method: str, colour: str, runs: Sequence[RunRecord]) -> None:
    curves = [_measured(run.curve) for run in runs]
    for run, curve in zip(runs, curves, strict=True):
        axes.plot(list(curve), list(curve.values()), color=colour, alpha=0.35, linewidth=0.9)
        if run.best_step in curve:
            axes.scatter([run.best_step], [curve[run.best_step]], s=20, color=colour, zorder=3)
    shared = sorted(set(curves[0]).intersection(*curves)) if curves else []
    means = [spread([curve[step] for curve in curves], (0.0, 100.0)).mean for step in shared]
    axes.plot(shared, means, color=colour, linewidth=2.4, label=label_of(method))


def _measured(curve: Sequence[CurvePoint]) -> dict[int, float]:
    return {point.step: 100 * point.metric for point in curve if point.metric is not None}


def _draw_references(axes: Axes, rows: Sequence[Row], selected: Sequence[RunRecord]) -> None:
    untrained = [row for row in rows if not row.trainable_parameters and not row.failed]
    for row, dashes in zip(untrained, itertools.cycle(DASHES)):
        runs = [run for run in selected if (run.method, run.model) == (row.method, row.model)]
        validations = [run.validation for run in runs if run.validation is not None]
        is_measured = len(validations) == len(runs)
        level = spread(validations).mean if is_measured else row.mean
        source = "" if is_measured else ", test set"
        axes.axhline(
            100 * (level or 0.0),
            color=INK,
            linestyle=dashes,
            linewidth=1.2,
            alpha=0.8,
            label=f"{label_of(row.method)} ({label_of(row.model)}{source})",
        )
