"""Make the plots of a study as files."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.reporting.curves_plot import draw_curves
from fsl_jax.studies.reporting.methods_plot import draw_methods
from fsl_jax.studies.reporting.summary import Row

METHODS_FILE = "results_by_method.png"
CURVES_FILE = "validation_curves.png"
PLOTS = (METHODS_FILE, CURVES_FILE)


def plot_files(
    rows: Sequence[Row], records: Sequence[RunRecord], *, chance: float | None = None
) -> dict[str, bytes]:
    """Make the plots of a study as PNG files.

    Args:
      rows: from `summarise`.
      records: all runs of the study.
      chance: the metric of guessing, in [0, 1], drawn as a line; None for no line.

    Returns:
      The contents of the files by name: the metric by method, and the curves if anything was
      trained.
    """
    pictures = {METHODS_FILE: draw_methods(rows, chance)}
    if any(record.selected and record.curve for record in records):
        pictures[CURVES_FILE] = draw_curves(rows, records)
    return {name: _encoded(figure) for name, figure in pictures.items()}


def _encoded(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160, facecolor="white")
    return buffer.getvalue()
