"""The style of all plots: colours, markers, titles, grids and legends."""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito (2008): eight colours that colour-blind readers can distinguish; yellow is too pale.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "D", "^", "v", "P")
INK = "#262626"
PALE = "#737373"


MAX_LABEL = 40
"""The largest number of characters of a method, a model or a data set in a picture."""


def label_of(text: str) -> str:
    """Return a text that a user wrote, as a picture shows it.

    Args:
      text: a method, a model or a data set.

    Returns:
      The text on one line, without signs that matplotlib takes for mathematics. A long text is cut,
      with a hash that distinguishes it from others with the same beginning.
    """
    if len(text) > MAX_LABEL:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
        text = f"{text[: MAX_LABEL - 8]}… {digest}"
    # Half of a surrogate pair cannot be drawn.
    text = text.encode(errors="replace").decode()
    return " ".join(text.split()).replace("$", r"\$")


def add_title(figure: Figure, text: str, explanation: str) -> None:
    """Add a title and a smaller line below it.

    Args:
      figure: a figure that is at least 1 inch high.
      text: the title.
      explanation: the line below.
    """
    # The empty second line of the title reserves the height of the explanation.
    figure.suptitle(f"{text}\n", fontsize=12, color=INK, fontweight="bold")
    height = 1 - 0.36 / figure.get_figheight()
    figure.text(0.5, height, explanation, ha="center", fontsize=8.5, color=PALE)


def tidy(axes: Axes, grid: Literal["x", "y"]) -> None:
    """Draw pale grid lines in one direction, and remove unneeded parts of a panel.

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


def add_legend(figure: Figure, panels: Sequence[Axes], *, in_one_row: bool = False) -> None:
    """Add one legend below all panels that has each label once.

    Args:
      figure: the figure.
      panels: its panels.
      in_one_row: put all entries in one row, even if the figure may be too narrow.
    """
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    inches = 0.9 + 0.075 * max(map(len, entries))
    fitting = max(1, int(figure.get_figwidth() / inches))
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=len(entries) if in_one_row else min(len(entries), fitting),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
