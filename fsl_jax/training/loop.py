"""The loop over dispatches, with checkpoints between them."""

import time
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from etils import epath

from fsl_jax.adapt.tree import Params
from fsl_jax.processes import from_first
from fsl_jax.tasks.formulation import Batch
from fsl_jax.training.checkpoints import restore_latest, save
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.program import Program
from fsl_jax.training.state import FitState, Runs, RunState


class Stopped(Exception):  # noqa: N818, to be asked to stop is no error
    """The process was asked to stop; what was done is saved.

    Attributes:
      exit_status: what the process should end with.
    """

    def __init__(self, message: str, exit_status: int):
        super().__init__(message)
        self.exit_status = exit_status


def fit(
    program: Program,
    state: FitState,
    runs: Runs,
    shared: Params,
    pool: Batch,
    config: FitConfig,
    after_dispatch: Callable[[FitState, bool], None],
) -> FitState:
    """Trains until all steps are taken or all runs have ended.

    Args:
      program: the compiled program.
      state: where it stands.
      runs: what differs between its runs.
      shared: the frozen base.
      pool: the examples.
      config: of the program.
      after_dispatch: called with the state and whether it is the last.

    Returns:
      The last state.
    """
    while not is_over(state, config):
        state = program.advance(state, runs, shared, pool)
        after_dispatch(state, is_over(state, config))
    return state


def is_over(state: FitState, config: FitConfig) -> bool:
    """Whether nothing is left to train."""
    return int(state.step) >= config.steps or not bool(jnp.any(state.runs.active))


SHARE_SAVING = 0.1
"""What saving may take of the time, the last state aside: that of many runs can be gigabytes."""


class Checkpointer:
    """Saves where a program stands, and finds it again."""

    def __init__(self, directory: epath.Path, seconds: float):
        """Prepares to keep one program's state.

        Args:
          directory: of its checkpoints.
          seconds: at least this long between two of them, and longer where saving takes more than
            a tenth of it; the last state is always kept.
        """
        self._directory = directory
        self._seconds = seconds
        self._pause = seconds
        self._saved = time.monotonic()

    def restore(self, state: FitState) -> FitState:
        """The state that was kept last, or the one given where there is none.

        Args:
          state: the state before the first step, whose shapes, types and layout are expected.

        Returns:
          Where to go on.
        """
        found = restore_latest(self._directory, _items(state))
        return state if found is None else _state(found.items)

    def keep(self, state: FitState, now: bool) -> None:
        """Saves a state if it is time to.

        Args:
          state: the state.
          now: whether to save it in any case; the same in all processes.
        """
        due = time.monotonic() - self._saved >= self._pause
        if now or from_first(due):
            step, start = int(state.step), time.monotonic()
            save(self._directory, step, _items(state), {"step": step})
            self._saved = time.monotonic()
            self._pause = max(self._seconds, (self._saved - start) / SHARE_SAVING)


def _items(state: FitState) -> dict[str, Any]:
    """The state in three parts: the adapter, the optimiser's, and the cursor."""
    runs = state.runs
    rest = {
        name: getattr(runs, name)
        for name in runs.__dataclass_fields__
        if name not in ("trainable", "best", "optimizer", "method_state")
    }
    return {
        "adapter": {"trainable": runs.trainable, "best": runs.best},
        "optimizer": {"state": runs.optimizer, "memory": runs.method_state},
        "cursor": rest | {"step": state.step},
    }


def _state(items: dict[str, Any]) -> FitState:
    cursor = dict(items["cursor"])
    step = cursor.pop("step")
    optimizer = items["optimizer"]
    kept = {"optimizer": optimizer["state"], "method_state": optimizer["memory"]}
    return FitState(step, RunState(**kept, **items["adapter"], **cursor))
