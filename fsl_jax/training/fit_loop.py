"""The loop that dispatches a program until all of its runs have ended."""

from collections.abc import Callable

import jax.numpy as jnp

from fsl_jax.adapt.tree import Params
from fsl_jax.packing.pool import Pool
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.program import Program
from fsl_jax.training.state import FitState, Runs


class Stopped(Exception):  # noqa: N818, a request to stop is not an error
    """The process was asked to stop, and its state is saved.

    Attributes:
      exit_status: the exit status that the process should end with.
    """

    def __init__(self, message: str, exit_status: int):
        super().__init__(message)
        self.exit_status = exit_status


def fit(
    program: Program,
    state: FitState,
    runs: Runs,
    shared: Params,
    pool: Pool,
    config: FitConfig,
    after_dispatch: Callable[[FitState, bool], None],
) -> FitState:
    """Train until all steps are taken or all runs have ended.

    Args:
      program: the compiled program.
      state: the state to start from.
      runs: the leaves and numbers that differ between the runs.
      shared: the frozen base.
      pool: the examples.
      config: the config of the program.
      after_dispatch: called after each dispatch with the state, and with True after the last.

    Returns:
      The last state.
    """
    while not is_over(state, config):
        state = program.advance(state, runs, shared, pool)
        after_dispatch(state, is_over(state, config))
    return state


def is_over(state: FitState, config: FitConfig) -> bool:
    """Return True if nothing is left to train."""
    return int(state.step) >= config.steps or not bool(jnp.any(state.runs.active))
