"""The titles and bounds of metrics, for tables, pictures and sentences."""

import functools

from fsl_jax.tasks.registry import TASKS
from fsl_jax.tasks.task import Metric


def metric_title(name: str) -> str:
    """Return the title of a metric inside a sentence, such as `entity F1` for `entity_f1`."""
    known = _metrics().get(name)
    return known.title if known else name.replace("_", " ")


def metric_bounds(name: str) -> tuple[float, float]:
    """Return the smallest and the largest value of a metric: those of a share, or a correlation."""
    known = _metrics().get(name)
    return (-1.0, 1.0) if known and not known.is_share else (0.0, 1.0)


@functools.cache
def _metrics() -> dict[str, Metric]:
    return {metric.name: metric for task in TASKS.values() for metric in task.metrics}
