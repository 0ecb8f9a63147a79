"""The work in this project, by the program that a study runs."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.work import SEED, Work
from fsl_jax.adapt.tree import flatten
from fsl_jax.training.caching import cache_trunk, pool_shapes
from fsl_jax.training.program import compile_program
from fsl_jax.training.stack import Stack, run_key, stack_runs
from fsl_jax.training.state import Runs


class Ours:
    """Runs that are trained at once.

    Attributes:
      stack: the parameters of all runs.
      compile_seconds: how long compiling took; computing what is cached has its own, small, share.
    """

    def __init__(self, work: Work, runs: int = 1):
        """Prepares and compiles; nothing is trained.

        Args:
          work: what is to be trained.
          runs: N, how many copies of it, each from a seed of its own.
        """
        self._work = work
        formulation, base = work.formulation, work.pretrained.params
        seeds = range(SEED, SEED + runs)
        self.stack = stack_runs(formulation, base, [work.method] * runs, seeds)
        self._runs = _runs(work, self.stack, seeds)
        shapes = pool_shapes(formulation, self.stack.shared, self.stack.mask, work.arrays)
        self._program = compile_program(
            formulation,
            work.method,
            work.fit_config,
            runs,
            self.stack.trainable,
            self._runs,
            self.stack.shared,
            shapes,
        )
        self.compile_seconds = self._program.compile_seconds
        self.restart()

    def restart(self) -> None:
        """Goes back to the parameters before the first step."""
        count = len(self._runs.learning_rate)
        place = self._program.place
        self._state, _ = place(self.stack.trainable, self._runs, count, self._work.fit_config)
        self._pool = None

    def cache(self) -> None:
        """Lays out the examples on the device, with what can be computed once and kept."""
        stack, work = self.stack, self._work
        self._pool = cache_trunk(
            work.formulation,
            stack.shared,
            stack.mask,
            work.arrays,
            work.fit_config.evaluation_batch,
        )
        jax.block_until_ready(self._pool)

    def dispatch(self) -> float:
        """Takes as many steps as a dispatch does: seconds per step."""
        if self._pool is None:
            self.cache()
        start = time.perf_counter()
        state = self._program.advance(self._state, self._runs, self.stack.shared, self._pool)
        self._state = jax.block_until_ready(state)
        return (time.perf_counter() - start) / self._work.fit_config.steps_per_dispatch

    def run(self) -> float:
        """Takes all steps from the first, caching included: seconds."""
        self.restart()
        start = time.perf_counter()
        self.cache()
        for _ in range(self._work.fit_config.steps // self._work.fit_config.steps_per_dispatch):
            self.dispatch()
        return time.perf_counter() - start

    @property
    def losses(self) -> np.ndarray:
        """The loss of each step that was taken, `[N, steps]`."""
        losses = np.asarray(self._state.runs.losses)
        return losses[:, : int(self._state.step)]


def start_of(ours: Ours, run: int = 0) -> dict[str, np.ndarray]:
    """The trained leaves of a run before its first step, by path."""
    leaves = flatten(ours.stack.own(ours.stack.trainable, run))
    return {path: np.asarray(leaf) for path, leaf in leaves.items()}


def _runs(work: Work, stack: Stack, seeds: range) -> Runs:
    count = len(seeds)
    return Runs(
        frozen_leaves=stack.frozen_leaves,
        rate_factors=stack.rate_factors,
        learning_rate=jnp.full(count, work.learning_rate, jnp.float32),
        weight_decay=jnp.zeros(count, jnp.float32),
        key=jnp.stack([run_key(seed) for seed in seeds]),
        order=jnp.asarray(np.broadcast_to(work.order, (count, *work.order.shape))),
        validation=jnp.zeros((count, 1, 1), jnp.int32),
        weight=jnp.ones((count, 1, 1), jnp.float32),
    )
