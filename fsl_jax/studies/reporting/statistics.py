"""How far a handful of seeds can be trusted: mean, spread and intervals."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import scipy  # which imports scipy.stats, half a second's work, once it is asked for


@dataclasses.dataclass(frozen=True)
class Spread:
    """A mean with how much its values differ; one value has neither deviation nor interval.

    Attributes:
      mean: of the values.
      std: sample standard deviation, with n - 1 in the denominator.
      ci95: 95% confidence interval of the mean.
    """

    mean: float
    std: float | None
    ci95: tuple[float, float] | None


def spread(values: Sequence[float], bounds: tuple[float, float] = (0.0, 1.0)) -> Spread:
    """Mean, standard deviation and 95% confidence interval over seeds.

    The interval is Student's t with n - 1 degrees of freedom. A bootstrap of three values can only
    draw ten different samples, and its interval never leaves the values seen: with few seeds it is
    far too narrow. The t interval is as wide as three seeds deserve. It assumes roughly normal
    values, so near 0 or 1 it can reach beyond what a share can be, and is clipped there.

    Values that are all equal give a deviation of 0 and an interval of no width, which says that the
    seeds made no difference, not that the mean is exact.

    Args:
      values: one value a seed, at least one.
      bounds: the least and the greatest value that the mean can have.

    Returns:
      The spread; for a single value, deviation and interval are None, as they are undefined.
    """
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Spread(mean, None, None)
    std = 0.0 if len(set(values)) == 1 else float(np.std(values, ddof=1))
    half = float(scipy.stats.t.ppf(0.975, df=len(values) - 1)) * std / math.sqrt(len(values))
    low, high = bounds
    return Spread(mean, std, (max(low, mean - half), min(high, mean + half)))


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Spread:
    """How far the first is ahead of the second on the same splits.

    A hard split is hard for every method, so the differences within splits vary less than the
    values, and tell two methods apart where their own intervals still overlap.

    Args:
      first: one share in [0, 1] a seed, at least one.
      second: those of the other, for the same seeds in the same order.

    Returns:
      The spread of first - second, in [-1, 1].
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return spread(differences, bounds=(-1.0, 1.0))


def sampling_margin(share: float, examples: int) -> float:
    """What the size of a test set leaves open about a share measured on it.

    Args:
      share: the share of examples with some property, in [0, 1].
      examples: the size of the test set.

    Returns:
      Half the width of Wilson's 95% interval (Wilson 1927), in [0, 1].
    """
    interval = scipy.stats.binomtest(round(share * examples), examples).proportion_ci(
        method="wilson"
    )
    return float(interval.high - interval.low) / 2
