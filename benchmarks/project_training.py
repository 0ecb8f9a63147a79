"""A workload in this project, by the program that a study runs."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.workload import SEED, Workload
from fsl_jax.adapt.tree import Params, flatten
from fsl_jax.packing.padding import Padding, padding
from fsl_jax.packing.planning import place_chunks, place_steps
from fsl_jax.packing.pool import Pool, make_pool
from fsl_jax.training.caching import cache_pool, pool_shapes
from fsl_jax.training.program import compile_program
from fsl_jax.training.stacked_runs import StackedRuns, run_key, stack_runs
from fsl_jax.training.state import Runs


class ProjectTraining:
    """Runs that are trained at once.

    Attributes:
      stack: the parameters of all runs.
      compile_seconds: seconds of compiling, without the small program that fills the cache.
      padding: the tokens of all steps of all runs, soft prompts included.
    """

    def __init__(self, work: Workload, runs: int = 1):
        """Prepare and compile; nothing is trained.

        Args:
          work: the workload.
          runs: N, the number of runs, each with its own seed.
        """
        self._work = work
        formulation, base = work.formulation, work.pretrained.params
        seeds = range(SEED, SEED + runs)
        stack = stack_runs(formulation, base, [work.method] * runs, seeds)
        shapes = stack.models.shapes
        segments = formulation.segments(shapes, work.tokens)
        self._pool = make_pool(segments, work.targets, work.features)
        self._runs = _runs(work, stack, self._pool.lengths, formulation.slot_width(shapes))
        self._program = compile_program(
            formulation,
            work.method,
            work.fit_config,
            runs,
            stack.trainable,
            self._runs,
            stack.shared,
            pool_shapes(formulation, stack.shared, stack.mask, self._pool),
        )
        self.stack: StackedRuns = stack
        self.compile_seconds = self._program.compile_seconds
        self.padding: Padding = padding(self._pool.lengths, self._runs.training)
        self.restart()

    def restart(self) -> None:
        """Go back to the parameters before the first step."""
        count = len(self._runs.learning_rate)
        self._state, self._placed = self._program.place(
            self.stack.trainable, self._runs, count, self._work.fit_config
        )
        self._cached: Pool | None = None

    def cache(self) -> None:
        """Put the examples on the device, with the activations that are computed once and kept."""
        stack = self.stack
        pool = cache_pool(self._work.formulation, stack.shared, stack.mask, self._pool)
        self._cached = jax.block_until_ready(pool)

    def dispatch(self) -> float:
        """Take the steps of one dispatch with all runs, and return seconds per step."""
        if self._cached is None:
            self.cache()
        start = time.perf_counter()
        state = self._program.advance(self._state, self._placed, self.stack.shared, self._cached)
        self._state = jax.block_until_ready(state)
        return (time.perf_counter() - start) / self._work.fit_config.steps_per_dispatch

    def trained(self) -> Params:
        """Return the trainable leaves `[N, ...]` after the steps so far."""
        # The next step takes the buffers of the state.
        return jax.tree.map(jnp.copy, self._state.runs.trainable)

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


def _runs(work: Workload, stack: StackedRuns, lengths: np.ndarray, slot_width: int) -> Runs:
    """Give each run its batches, and one example to validate on after the last step."""
    count = len(stack.shapes)
    order = np.stack([work.order(run) for run in range(count)])
    return Runs(
        frozen_leaves=stack.frozen_leaves,
        rate_factors=stack.rate_factors,
        learning_rate=jnp.full(count, work.learning_rate, jnp.float32),
        weight_decay=jnp.zeros(count, jnp.float32),
        key=jnp.stack([run_key(SEED + run) for run in range(count)]),
        training=place_steps(lengths, order, slot_width=slot_width),
        validation=place_chunks(lengths, [np.zeros(1, np.int32)] * count, slot_width=slot_width),
    )
