"""Metrics of numbers: Pearson's and Spearman's correlation, and the error."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def number_scores(answers: Sequence[float], correct: Sequence[float]) -> dict[str, float]:
    """Score numbers.

    Args:
      answers: a number for each example.
      correct: the correct numbers.

    Returns:
      `pearson` and `spearman`, which are 0 where all numbers of one side are equal, and `rmse`.
    """
    from scipy import stats

    given, held = np.asarray(answers, np.float64), np.asarray(correct, np.float64)
    varied = len(held) > 1 and np.ptp(given) > 0 and np.ptp(held) > 0
    return {
        "pearson": _finite(stats.pearsonr(_scaled(given), _scaled(held))) if varied else 0.0,
        "spearman": _finite(stats.spearmanr(given, held)) if varied else 0.0,
        "rmse": float(np.sqrt(np.mean((given - held) ** 2))),
    }


def _scaled(values: np.ndarray) -> np.ndarray:
    """Move values to the range from 0 to 1, in which near constants keep their differences."""
    low = values.min()
    return (values - low) / np.ptp(values)


def _finite(result: Any) -> float:
    value = float(result.statistic)
    return value if np.isfinite(value) else 0.0
