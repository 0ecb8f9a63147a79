"""Plots of soft prompts: norms, distances, maps with the vocabulary, and the value of a position.

In every plot, each start has its own colour.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fsl_jax.studies.analysis.trained_prompts import Removals, TrainedPrompts
from fsl_jax.studies.reporting.plot_style import (
    COLOURS,
    INK,
    MARKERS,
    PALE,
    add_legend,
    add_title,
    tidy,
)

Map = tuple[Float[np.ndarray, "W 2"], Float[np.ndarray, "N P 2"], Float[np.ndarray, "N P 2"]]
"""Points of W words, and of the vectors of N prompts before and after training."""


def draw_norms(trained: TrainedPrompts, table: Float[np.ndarray, "V D"]) -> Figure:
    """Draw the mean norm of a prompt's vectors by step, over the range of the vocabulary's norms.

    Args:
      trained: N prompts.
      table: the word embedding.

    Returns:
      The figure.
    """
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.subplots()
    norms = np.linalg.norm(trained.prompts, axis=-1).mean(axis=-1)
    colours = _colours(trained.starts)
    for start, colour in colours.items():
        of_start = norms[:, [each == start for each in trained.starts]]
        axes.plot(trained.steps, of_start, color=colour, alpha=0.35, linewidth=0.9)
        axes.plot(trained.steps, of_start.mean(axis=1), color=colour, linewidth=2.4, label=start)
    low, middle, high = np.percentile(np.linalg.norm(table, axis=-1), [5, 50, 95])
    axes.axhspan(low, high, color=PALE, alpha=0.12, linewidth=0)
    axes.axhline(middle, color=PALE, linewidth=1.2, linestyle=":", label="vocabulary, median")
    axes.set_xlabel("optimiser steps")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_ylabel("mean norm of the vectors")
    add_legend(figure, [axes], in_one_row=True)
    tidy(axes, grid="y")
    add_title(
        figure,
        "Norms over training",
        "thin: one seed · thick: mean over seeds · grey: 5% to 95% of the vocabulary",
    )
    return figure


def draw_distances(
    matrices: Mapping[str, Float[np.ndarray, "N N"]], starts: Sequence[str], seeds: Sequence[int]
) -> Figure:
    """Draw matrices of the distances of prompts, side by side and on one scale.

    Args:
      matrices: matrices from `prompt_distances`, by title.
      starts: the start of each prompt; prompts with the same start are drawn together.
      seeds: the seed of each prompt.

    Returns:
      The figure.
    """
    figure = Figure(figsize=(4.4 * len(matrices) + 1.4, 4.9), layout="constrained")
    order = sorted(range(len(starts)), key=lambda run: (list(starts).index(starts[run]), run))
    names = [f"{starts[run]}, {seeds[run]}" for run in order]
    highest = max(np.nanmax(values) for values in matrices.values())
    panels = list(figure.subplots(1, len(matrices), sharey=True, squeeze=False)[0])
    for axes, (name, values) in zip(panels, matrices.items(), strict=True):
        image = axes.imshow(values[np.ix_(order, order)], cmap="cividis", vmin=0, vmax=highest)
        axes.set_title(name, fontsize=10, color=INK)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(colors=INK, length=0, labelsize=8)
    figure.colorbar(image, ax=panels, shrink=0.8, label="mean distance")
    add_title(
        figure,
        "Distances of prompts, by start and seed",
        "diagonal: between the positions of one prompt",
    )
    return figure


def draw_maps(maps: Mapping[str, Map], starts: Sequence[str]) -> Figure:
    """Draw the vectors of prompts and words of the vocabulary on maps, side by side.

    Args:
      maps: the maps by title.
      starts: the start of each of the N prompts.

    Returns:
      The figure.
    """
    figure = Figure(figsize=(5.2 * len(maps), 5.4), layout="constrained")
    panels = list(figure.subplots(1, len(maps), squeeze=False)[0])
    for axes, (name, points) in zip(panels, maps.items(), strict=True):
        _draw_map(axes, points, starts)
        axes.set_title(name, fontsize=10, color=INK)
    add_legend(figure, panels[:1], in_one_row=True)
    add_title(
        figure,
        "Prompts among the vocabulary",
        "a line leads from where a vector began to where it ended · grey: words",
    )
    return figure


def draw_removals(removals: Removals, starts: Sequence[str], metric: str = "accuracy") -> Figure:
    """Draw the change of the metric when a position of the prompt is removed.

    Args:
      removals: the removals of N prompts of length P.
      starts: the start of each prompt.
      metric: the name of the metric.

    Returns:
      The figure: a point for each run and position, and the mean over the runs of each start. On
      the right is the change when the whole prompt is removed.
    """
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    axes = figure.subplots()
    change = np.concatenate([removals.without, removals.none[:, None]], axis=1)
    change = 100 * (change - removals.whole[:, None])
    length = removals.without.shape[1]
    colours = _colours(starts)
    for number, (start, colour) in enumerate(colours.items()):
        of_start = change[[each == start for each in starts]]
        columns = np.arange(length + 1) + 0.16 * (number - (len(colours) - 1) / 2)
        for of_run in of_start:
            axes.scatter(columns, of_run, s=14, color=colour, alpha=0.45, linewidths=0)
        marker = MARKERS[number % len(MARKERS)]
        axes.scatter(columns, of_start.mean(axis=0), s=48, color=colour, marker=marker, label=start)
    axes.axhline(0, color=PALE, linewidth=1.2, linestyle=":")
    axes.set_xticks(range(length + 1), [*map(str, range(1, length + 1)), "all"])
    axes.set_xlabel("removed position")
    axes.set_ylabel(f"change of {metric} (points)")
    add_legend(figure, [axes], in_one_row=True)
    tidy(axes, grid="y")
    add_title(figure, "The value of each position", "small: one seed · large: mean over seeds")
    return figure


def _colours(starts: Sequence[str]) -> dict[str, str]:
    names = dict.fromkeys(starts)
    return {start: COLOURS[index % len(COLOURS)] for index, start in enumerate(names)}


def _draw_map(axes: Axes, points: Map, starts: Sequence[str]) -> None:
    words, before, after = points
    axes.scatter(*words.T, s=3, color=PALE, alpha=0.35, linewidths=0)
    for start, colour in _colours(starts).items():
        chosen = [each == start for each in starts]
        begun, ended = (each[chosen].reshape(-1, 2) for each in (before, after))
        lines = np.stack([begun, ended])
        axes.plot(lines[..., 0], lines[..., 1], color=colour, alpha=0.3, linewidth=0.7)
        axes.scatter(*ended.T, s=14, color=colour, linewidths=0, label=start, zorder=3)
    axes.set_xticks([])
    axes.set_yticks([])
    tidy(axes, grid="y")
