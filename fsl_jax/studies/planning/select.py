"""Selection on validation data: for each method and seed one run, which alone is tested.

Gao, Fisch and Chen, 2021, "Making Pre-trained Language Models Better Few-shot Learners",
https://arxiv.org/abs/2012.15723.
"""

from collections.abc import Sequence

import numpy as np

from fsl_jax.studies.planning.programs import PlannedRun


def select(
    runs: Sequence[PlannedRun],
    measures: np.ndarray,
    losses: np.ndarray,
    failed: np.ndarray,
) -> list[int]:
    """Choose the best run of each method and seed.

    Args:
      runs: N runs.
      measures: the best validation measure of each run, `[N]`; more is better.
      losses: the validation loss at the same step, in nats, `[N]`; it decides between equal
        measures.
      failed: True for runs with a loss that was not finite, `[N]`; they are never chosen.

    Returns:
      The indices of the chosen runs in ascending order. If all runs of a method and seed failed,
      none of them is chosen.
    """
    best: dict[tuple[str, int], int] = {}
    for index, run in enumerate(runs):
        if failed[index]:
            continue
        key = (run.method_text, run.seed)
        rival = best.setdefault(key, index)
        if (-measures[index], losses[index]) < (-measures[rival], losses[rival]):
            best[key] = index
    return sorted(best.values())
