"""A workload in this project, by the program that a study runs."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.workload import SEED, Workload
from fsl_jax.adapt.tree import flatten
from fsl_jax.training.caching import cache_examples, pool_shapes
from fsl_jax.training.program import compile_program
from fsl_jax.training.stacked_runs import StackedRuns, run_key, stack_runs
from fsl_jax.training.state import Runs


class ProjectTraining:
    """Runs that are trained at once.

    Attributes:
      stack: the parameters of all runs.
      compile_seconds: seconds of compiling, without the small program that fills the cache.
    """

    def __init__(self, work: Workload, runs: int = 1):
        """Prepare and compile; nothing is trained.

        Args:
          work: the workload.
          runs: N, the number of copies, each with its own seed.
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
        """Go back to the parameters before the first step."""
        count = len(self._runs.learning_rate)
        self._state, _ = self._program.place(
            self.stack.trainable, self._runs, count, self._work.fit_config
        )
        self._pool = None

    def cache(self) -> None:
        """Put the examples on the device, with the activations that are computed once and kept."""
        stack, work = self.stack, self._work
        self._pool = cache_examples(
            work.formulation,
            stack.shared,
            stack.mask,
            work.arrays,
            work.fit_config.evaluation_batch,
        )
        jax.block_until_ready(self._pool)

    def dispatch(self) -> float:
        """Take the steps of one dispatch and return seconds per step."""
        if self._pool is None:
            self.cache()
        start = time.perf_counter()
        state = self._program.advance(self._state, self._runs, self.stack.shared, self._pool)
        self._state = jax.block_until_ready(state)
        return (time.perf_counter() - start) / self._work.fit_config.steps_per_dispatch

    def run(self) -> float:
        """Take all steps from the first, caching included, and return seconds."""
        self.restart()
        start = time.perf_counter()
        self.cache()
        for _ in range(self._work.fit_config.steps // self._work.fit_config.steps_per_dispatch):
            self.dispatch()
        return time.perf_counter() - start

    @property
    def losses(self) -> np.ndarray:
        """The loss of each step so far, `[N, steps]`."""
        losses = np.asarray(self._state.runs.losses)
        return losses[:, : int(self._state.step)]


def initial_leaves(training: ProjectTraining, run: int = 0) -> dict[str, np.ndarray]:
    """Return the trained leaves of a run before its first step, by path."""
    leaves = flatten(training.stack.run_leaves(training.stack.trainable, run))
    return {path: np.asarray(leaf) for path, leaf in leaves.items()}


def _runs(work: Workload, stack: StackedRuns, seeds: range) -> Runs:
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
