"""Selection on validation data: for each method and seed one run, which alone sees the test set.

Gao, Fisch and Chen, 2021, "Making Pre-trained Language Models Better Few-shot Learners",
https://arxiv.org/abs/2012.15723.
"""

from collections.abc import Sequence

import numpy as np

from fsl_jax.studies.planning.plan import PlannedRun


def select(
    runs: Sequence[PlannedRun],
    accuracies: np.ndarray,
    losses: np.ndarray,
    failed: np.ndarray,
) -> list[int]:
    """Chooses among the runs of each method and seed.

    Args:
      runs: N runs.
      accuracies: best validation accuracy of each, `[N]`.
      losses: validation loss there, in nats, `[N]`, which decides between equal accuracies.
      failed: True for runs whose loss was not a number, `[N]`; they are never chosen.

    Returns:
      The positions of the chosen runs in ascending order. A method and seed of which all runs
      failed has none.
    """
    best: dict[tuple[str, int], int] = {}
    for position, run in enumerate(runs):
        if failed[position]:
            continue
        rival = best.setdefault((run.method, run.seed), position)
        rank = (-accuracies[position], losses[position])
        if rank < (-accuracies[rival], losses[rival]):
            best[run.method, run.seed] = position
    return sorted(best.values())
