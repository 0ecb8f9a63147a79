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

    `splits` has the texts of each run, and `examples` all of them as tokens on the host; `cached`
    says whether the trunk is kept where a method allows it.
    """

    formulation: Any
    splits: Any
    fit_config: Any
    trials: tuple[Trial, ...]
    stack: Any
    runs: Any
    examples: Any
    cached: bool = True

    def alone(self, number):
        """The same with one of the runs, which is made without the others."""
        of_run = slice(number, number + 1)
        alone = _problem(
            self.formulation, self.splits[of_run], self.fit_config, self.trials[of_run]
        )
        return dataclasses.replace(alone, cached=self.cached)

    def in_rows(self, multiple):
        """The same with a number of rows that `multiple` divides."""
        chunks = jax.device_get(self.runs.validation)
        validation = [
            examples[weight > 0]
            for examples, weight in zip(chunks.examples, chunks.weight, strict=True)
        ]
        steps = jax.device_get(self.runs.training.examples)
        width = self.formulation.slot_width(self.stack.models.shapes)
        return self._placed(*_place(self.examples, steps, validation, width, multiple))

    def unpacked(self):
        """The same with each example in a row of its own, and nothing kept."""
        length = int(self.examples.lengths.max())
        placed = (
            _in_own_rows(given, length) for given in (self.runs.training, self.runs.validation)
        )
        return dataclasses.replace(self._placed(*placed), cached=False)

    def _placed(self, training, validation):
        runs = dataclasses.replace(self.runs, training=training, validation=validation)
        return dataclasses.replace(self, runs=runs)

    @functools.cached_property
    def pool(self):
        """The examples on the device, with what is kept of each."""
        from fsl_jax.training.caching import cache_pool

        if not self.cached:
            return jax.device_put(self.examples)
        return cache_pool(self.formulation, self.stack.shared, self.stack.mask, self.examples)

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


def _in_own_rows(placements, length):
    from fsl_jax.packing.placements import RowShape

    rows = placements.starts.shape[-1]
    starts = np.arange(rows, dtype=np.int32) * length
    starts = jax.device_put(np.broadcast_to(starts, placements.starts.shape))
    return placements.replace(starts=starts, shape=RowShape(rows, length, slots=1))


def _problem(formulation, splits, config, trials):
    from fsl_jax.data import batch_order
    from fsl_jax.formulations import encode
    from fsl_jax.training.stacked_runs import run_key
    from fsl_jax.training.state import Runs

    examples = [each for split in splits for each in (*split.train, *split.validation)]
    numbers = {example: number for number, example in enumerate(dict.fromkeys(examples))}
    stack = _stack(formulation, trials, examples[:1])
    pool = encode(formulation, list(numbers), stack.models.shapes).pool

    def of(examples):
        return np.array([numbers[each] for each in examples], np.int32)

    def order(split):
        train = of(split.train)
        lengths = pool.example_lengths[train]
        return train[batch_order(split.seed, lengths, config.batch_size, config.steps)]

    steps = np.stack([order(split) for split in splits])
    chunks = [of(split.validation) for split in splits]
    width = formulation.slot_width(stack.models.shapes)
    training, validation = _place(pool, steps, chunks, width)
    runs = Runs(
        frozen_leaves=stack.frozen_leaves,
        learning_rate=jax.device_put(np.float32([trial.learning_rate for trial in trials])),
        weight_decay=jax.device_put(np.float32([trial.weight_decay for trial in trials])),
        key=jnp.stack([run_key(trial.seed) for trial in trials]),
        training=training,
        validation=validation,
        rate_factors=stack.rate_factors,
    )
    return Problem(formulation, splits, config, tuple(trials), stack, runs, pool)


def _place(pool, steps, chunks, slot_width, multiple=1):
    from fsl_jax.packing.planning import place_chunks, place_steps

    options = {"multiple": multiple, "slot_width": slot_width, "width": pool.width}
    training = place_steps(pool.lengths, steps, **options)
    validation = place_chunks(pool.lengths, chunks, 40, **options)
    return jax.device_put((training, validation))


def _stack(formulation, trials, examples):
    from fsl_jax.formulations.batches import unpacked_batch
    from fsl_jax.training.stacked_runs import stack_runs

    tokenized = formulation.tokenize(examples)

    def forward(params):
        segments = formulation.segments(params, tokenized.tokens)
        batch = unpacked_batch(segments, features=tokenized.features)
        return formulation.outputs(params, batch)

    return stack_runs(
        formulation,
        formulation.pretrained.params,
        [trial.method for trial in trials],
        [trial.seed for trial in trials],
        forward,
    )


@pytest.fixture(scope="session")
def tiny_problem(tiny_formulations, tiny_dataset):
    """Makes the problem of trials with a formulation, which may be named.

    Each trial has a split of its own; by default, few shots of the tiny data set.
    """
    from fsl_jax.tasks import few_shot_split
    from fsl_jax.training.fit_config import FitConfig

    def make(formulation, trials, cached=True, splits=None, **changes):
        formulation = tiny_formulations.get(formulation, formulation)
        if reserved := max(trial.method.positions for trial in trials):
            formulation = dataclasses.replace(formulation, reserved_positions=reserved)
        config = FitConfig(**{"steps": 20, "batch_size": 4, "evaluate_every": 5} | changes)
        splits = splits or [few_shot_split(tiny_dataset, 2, trial.seed) for trial in trials]
        problem = _problem(formulation, splits, config, trials)
        return dataclasses.replace(problem, cached=cached)

    return make


@pytest.fixture(scope="session")
def trial():
    """Makes a run of a tiny program: its method, seed, learning rate and weight decay."""
    return Trial
