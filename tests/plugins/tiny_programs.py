"""Tiny programs: a few runs that train on a few examples."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run of a tiny program."""

    method: Any
    seed: int = 13
    learning_rate: float = 1e-2
    weight_decay: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """The data of a tiny program, with functions to compile it and to carry it out.

    `arrays` are all examples; `cached` says whether the trunk is kept where a method allows it.
    """

    formulation: Any
    fit_config: Any
    trials: tuple[Trial, ...]
    stack: Any
    runs: Any
    arrays: dict[str, np.ndarray]
    cached: bool = True

    def alone(self, number):
        """The same with one of the runs, whose leaves are drawn and stacked without the others."""
        stack = _stack(self.formulation, self.trials[number : number + 1], self.arrays)
        runs = jax.tree.map(lambda leaf: _row(leaf, number), self.runs)
        return dataclasses.replace(
            self,
            trials=self.trials[number : number + 1],
            stack=stack,
            runs=dataclasses.replace(
                runs, frozen_leaves=stack.frozen_leaves, rate_factors=stack.rate_factors
            ),
        )

    @functools.cached_property
    def pool(self):
        """The examples on the device, with what is kept of each."""
        from fsl_jax.training.caching import cache_examples

        if not self.cached:
            return jax.device_put(self.arrays)
        return cache_examples(
            self.formulation, self.stack.shared, self.stack.mask, self.arrays, chunk=4
        )

    def compile(self, size=None, mesh=None):
        """The program for so many runs at once; for all of them unless a size is given."""
        from fsl_jax.training.program import compile_program

        return compile_program(
            self.formulation,
            self.stack.method,
            self.fit_config,
            size or len(self.trials),
            self.stack.trainable,
            self.runs,
            self.stack.shared,
            self.pool,
            mesh,
        )

    def place(self, program, first=0):
        """The state before the first step, and what `fit` takes beside it, of a group of runs."""
        from fsl_jax.training.program import place_shared

        count = min(program.size, len(self.trials) - first)
        trainable, runs = jax.tree.map(
            lambda leaf: leaf[first : first + count], (self.stack.trainable, self.runs)
        )
        state, runs = program.place(trainable, runs, count, self.fit_config)
        return state, (runs, *place_shared(self.stack.shared, self.pool, program.mesh))

    def fit(self, program, first=0):
        """The last state of a group of runs, which begins with the run `first`."""
        from fsl_jax.training.fit_loop import fit

        state, inputs = self.place(program, first)
        return jax.device_get(fit(program, state, *inputs, self.fit_config, lambda *_: None))


def _row(leaf, number):
    """A row as an array of one row."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf[number : number + 1]
    # Cut by NumPy: JAX would compile a program for each shape.
    return jax.device_put(np.asarray(leaf)[number : number + 1])


def _stack(formulation, trials, arrays):
    from fsl_jax.training.stacked_runs import stack_runs

    batch = jax.device_put({name: array[:1] for name, array in arrays.items()})
    return stack_runs(
        formulation,
        formulation.pretrained.params,
        [trial.method for trial in trials],
        [trial.seed for trial in trials],
        lambda params: formulation.logits(params, batch),
    )


@pytest.fixture(scope="session")
def tiny_problem(tiny_formulations, tiny_dataset):
    """Makes the problem of trials with a formulation, which may be named."""
    from fsl_jax.data import batch_order, few_shot_split
    from fsl_jax.tasks import encode
    from fsl_jax.training.fit_config import FitConfig
    from fsl_jax.training.stacked_runs import run_key
    from fsl_jax.training.state import Runs

    def make(formulation, trials, cached=True, **changes):
        formulation = tiny_formulations.get(formulation, formulation)
        if reserved := max(trial.method.positions for trial in trials):
            formulation = dataclasses.replace(formulation, reserved_positions=reserved)
        config = FitConfig(**{"steps": 20, "batch_size": 4, "evaluate_every": 5} | changes)
        splits = [few_shot_split(tiny_dataset, 2, trial.seed) for trial in trials]
        examples = [each for split in splits for each in (*split.train, *split.validation)]
        rows = {example: row for row, example in enumerate(dict.fromkeys(examples))}
        arrays = encode(formulation, list(rows)).arrays
        stack = _stack(formulation, trials, arrays)

        def order(split):
            places = batch_order(split.seed, len(split.train), config.batch_size, config.steps)
            return np.array([rows[each] for each in split.train], np.int32)[places]

        # Six examples in two chunks of four: the last two are fillers.
        validation = [[rows[each] for each in (*s.validation, *s.validation[:2])] for s in splits]
        weight = np.tile(np.float32([[1, 1, 1, 1], [1, 1, 0, 0]]), (len(trials), 1, 1))
        runs = Runs(
            frozen_leaves=stack.frozen_leaves,
            learning_rate=jax.device_put(np.float32([trial.learning_rate for trial in trials])),
            weight_decay=jax.device_put(np.float32([trial.weight_decay for trial in trials])),
            key=jnp.stack([run_key(trial.seed) for trial in trials]),
            order=jax.device_put(np.stack([order(split) for split in splits])),
            validation=jax.device_put(np.array(validation, np.int32).reshape(len(trials), 2, 4)),
            weight=jax.device_put(weight),
            rate_factors=stack.rate_factors,
        )
        return Problem(formulation, config, tuple(trials), stack, runs, arrays, cached)

    return make


@pytest.fixture(scope="session")
def trial():
    """Makes a run of a tiny program: its method, seed, learning rate and weight decay."""
    return Trial
