"""Write the plots of a study to files."""

import io
from collections.abc import Sequence

from etils import epath

from fsl_jax.files import write_atomically
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.reporting.curves_plot import draw_curves
from fsl_jax.studies.reporting.methods_plot import draw_methods
from fsl_jax.studies.reporting.summary import Row

METHODS_FILE = "accuracy_by_method.png"
CURVES_FILE = "validation_curves.png"


def write_plots(
    directory: epath.PathLike,
    rows: Sequence[Row],
    records: Sequence[RunRecord],
    *,
    chance: float | None = None,
) -> list[str]:
    """Write the plots of a study as PNG files.

    Args:
      directory: the directory to write to, which must exist.
      rows: from `summarise`.
      records: all runs of the study.
      chance: the metric of guessing, in [0, 1], drawn as a line; None for no line.

    Returns:
      The names of the files: the metric by method, and the curves if anything was trained.
    """
    pictures = {METHODS_FILE: draw_methods(rows, chance)}
    if any(record.selected and record.curve for record in records):
        pictures[CURVES_FILE] = draw_curves(rows, records)
    for name, figure in pictures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, facecolor="white")
        write_atomically(epath.Path(directory) / name, buffer.getvalue())
    return list(pictures)
