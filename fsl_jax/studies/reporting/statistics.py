"""The mean, the spread and the confidence interval of a few seeds."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import scipy  # On its first use, it imports scipy.stats, which takes half a second.


@dataclasses.dataclass(frozen=True)
class Spread:
    """The mean of some values, and their variation.

    Attributes:
      mean: the mean of the values.
      std: sample standard deviation, with n - 1 in the denominator; None for a single value.
      ci95: 95% confidence interval of the mean; None for a single value.
    """

    mean: float
    std: float | None
    ci95: tuple[float, float] | None


def spread(values: Sequence[float], bounds: tuple[float, float] = (0.0, 1.0)) -> Spread:
    """Compute mean, standard deviation and 95% confidence interval over seeds.

    The interval uses Student's t with n - 1 degrees of freedom, and assumes roughly normal values.
    Near 0 or 1 it can exceed the possible values of a share, so it is clipped there. A bootstrap
    interval would be far too narrow: three values give only ten different samples, and the interval
    cannot exceed the observed values.

    Equal values give a deviation of 0 and an interval of zero width. Such an interval means that
    the seeds made no difference, not that the mean is exact.

    Args:
      values: one value for each seed, at least one.
      bounds: the smallest and the largest possible mean.

    Returns:
      The spread.
    """
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Spread(mean, None, None)
    std = 0.0 if len(set(values)) == 1 else float(np.std(values, ddof=1))
    half = float(scipy.stats.t.ppf(0.975, df=len(values) - 1)) * std / math.sqrt(len(values))
    low, high = bounds
    return Spread(mean, std, (max(low, mean - half), min(high, mean + half)))


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Spread:
    """Compute the lead of one method over another on the same splits.

    A hard split is hard for every method. So the differences within splits vary less than the
    values, and can distinguish two methods whose intervals overlap.

    Args:
      first: a share in [0, 1] for each seed, at least one.
      second: the shares of the other method, for the same seeds in the same order.

    Returns:
      The spread of first - second, in [-1, 1].
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return spread(differences, bounds=(-1.0, 1.0))


def sampling_margin(share: float, examples: int) -> float:
    """Compute the uncertainty of a share that was measured on a test set of this size.

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
