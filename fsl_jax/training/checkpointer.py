"""Save the state of a program at intervals, and restore it."""

import time
from typing import Any

from etils import epath

from fsl_jax.processes import from_first
from fsl_jax.training.checkpoints import restore_latest, save
from fsl_jax.training.state import FitState, RunState

SHARE_SAVING = 0.1
"""The maximum share of time for saving. The state of many runs can be gigabytes."""


class Checkpointer:
    """Saves the state of one program at intervals, and restores it."""

    def __init__(self, directory: epath.Path, seconds: float):
        """Set the directory and the interval.

        Args:
          directory: the directory of the program's checkpoints.
          seconds: the minimum time between two checkpoints. The time is longer if saving would take
            more than a tenth of it.
        """
        self._directory = directory
        self._seconds = seconds
        self._pause = seconds
        self._saved = time.monotonic()

    def restore(self, state: FitState) -> FitState:
        """Restore the last saved state.

        Args:
          state: the state before the first step. The saved state must have the same shapes and
            dtypes, and gets the same shardings.

        Returns:
          The saved state, or `state` itself if none was saved.
        """
        checkpoint = restore_latest(self._directory, _items(state))
        return state if checkpoint is None else _state(checkpoint.items)

    def save(self, state: FitState, force: bool) -> None:
        """Save a state if the interval has passed.

        Args:
          state: the state.
          force: True saves at once. It must be the same in all processes.
        """
        due = time.monotonic() - self._saved >= self._pause
        if force or from_first(due):
            step, start = int(state.step), time.monotonic()
            save(self._directory, step, _items(state), {"step": step})
            self._saved = time.monotonic()
            self._pause = max(self._seconds, (self._saved - start) / SHARE_SAVING)


def _items(state: FitState) -> dict[str, Any]:
    """Return the state in three parts: the adapter, the optimiser, and the cursor.

    The keys are those of the checkpoints on disk, so they must not change.
    """
    runs = state.runs
    cursor = {
        name: getattr(runs, name)
        for name in runs.__dataclass_fields__
        if name not in ("trainable", "best", "optimizer", "method_state")
    }
    return {
        "adapter": {"trainable": runs.trainable, "best": runs.best},
        "optimizer": {"state": runs.optimizer, "memory": runs.method_state},
        "cursor": cursor | {"step": state.step},
    }


def _state(items: dict[str, Any]) -> FitState:
    cursor = dict(items["cursor"])
    step = cursor.pop("step")
    optimizer = items["optimizer"]
    runs = RunState(
        optimizer=optimizer["state"],
        method_state=optimizer["memory"],
        **items["adapter"],
        **cursor,
    )
    return FitState(step, runs)
