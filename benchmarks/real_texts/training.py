"""Steps of training on real texts, in turns with the peer."""

import statistics
from collections.abc import Callable

from benchmarks.measure import Row, alternate, require_same_losses
from benchmarks.peer_training import PeerTraining
from benchmarks.project_training import ProjectTraining, initial_leaves
from benchmarks.workload import Workload
from fsl_jax.packing.padding import Padding

TOLERANCE = 1e-3


def measure_training(
    work: Workload, turn: int, repeats: int, runs: int = 1, goal: float | None = None
) -> Row:
    """Measure the line of one workload.

    The peer trains one run. Several runs one after the other take it as many times as long, so its
    seconds for a step of one run are the same.

    Args:
      work: the workload, of at least `turn * (repeats + 1)` steps.
      turn: the number of steps that a side takes in each turn.
      repeats: the number of turns that count, after one that does not.
      runs: the number of runs that this project trains at once, as in a study.
      goal: the ratio that is to be reached; None if there is none.

    Returns:
      Seconds of a step of one run.

    Raises:
      ValueError: the sides have different losses.
    """
    project = ProjectTraining(work, runs)
    peer = PeerTraining(work, initial_leaves(project))
    dispatches = turn // work.fit_config.steps_per_dispatch
    sides = {
        "project": _mean_of(project.dispatch, dispatches, runs),
        "peer": _mean_of(peer.step, turn),
    }
    seconds = alternate(sides, repeats)
    require_same_losses(project.losses[0][:turn], peer.losses[:turn], TOLERANCE)
    steps = work.fit_config.steps
    note = f"tokens of a step: {describe_tokens(peer.padding, project.padding, steps, runs)}"
    title = work.describe() + (f", {runs} runs at once" if runs > 1 else "")
    return Row(title, "eager", seconds["project"], seconds["peer"], goal, note)


def _mean_of(part: Callable[[], float], times: int, runs: int = 1) -> Callable[[], float]:
    return lambda: statistics.fmean(part() for _ in range(times)) / runs


def describe_tokens(peer: Padding, project: Padding, steps: int = 1, runs: int = 1) -> str:
    """Say how many tokens each side computes, and what share of them is padding.

    Args:
      peer: the tokens of the peer.
      project: the tokens of this project.
      steps: the number of steps over which they are divided.
      runs: the number of this project's runs over which its tokens are divided.

    Returns:
      A remark for the table.
    """
    of_peer = f"the peer {peer.computed / steps:.0f} ({peer.share:.0%} padding)"
    return f"{of_peer}, here {project.computed / (steps * runs):.0f} ({project.share:.0%})"
