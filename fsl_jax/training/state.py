"""What a fit program is given for its runs, and what it keeps of them."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.tree import Params
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.optimizer import make_optimizer

# The fields below are leaves of trees: beside arrays they may be shapes, shardings, or whatever
# else a tree is mapped to, so their annotations cannot be checked as shapes.


@flax.struct.dataclass
class Runs:
    """What differs between the N runs of a program; stacked on the leading axis.

    Attributes:
      frozen_leaves: leaves that are frozen and differ between runs, such as LoRA's scales.
      learning_rate: `[N]`.
      weight_decay: `[N]`.
      key: threefry keys `[N]` for dropout.
      order: for each step the rows of the pool that make the batch, int32 `[N, steps, B]`.
      validation: the rows of the pool to validate on, int32 `[N, chunks, evaluation_batch]`.
      weight: 1 for each of these rows that counts and 0 for one that fills a chunk, float32.
      rate_factors: what the learning rate of each trained leaf is multiplied by, a tree of `[N]`;
        empty where it is 1 everywhere.
    """

    frozen_leaves: Params
    learning_rate: Any
    weight_decay: Any
    key: Any
    order: Any
    validation: Any
    weight: Any
    rate_factors: Any = ()


@flax.struct.dataclass
class RunState:
    """What a program keeps of its runs; every leaf has the runs on its leading axis.

    Attributes:
      trainable: the trained leaves as they are.
      optimizer: the optimiser's state.
      method_state: what the method keeps from step to step.
      best: the trained leaves as they were at the best validation.
      best_accuracy: the accuracy there, from 0 to 1, float32; -1 before the first.
      best_loss: the validation loss there, in nats, which decides between equal accuracies.
      best_step: the steps that had been taken there, int32.
      stale: validations since then, int32.
      stopped: True once the run has ended early.
      diverged: True once a loss or a step was not finite; such a run keeps what it had before.
      losses: training loss by step, `[N, steps]`, NaN where a step was not taken.
      accuracies: validation accuracy, `[N, evaluations]`, NaN likewise.
      validation_losses: validation loss, `[N, evaluations]`, NaN likewise.
    """

    trainable: Params
    optimizer: Any
    method_state: Any
    best: Params
    best_accuracy: Any
    best_loss: Any
    best_step: Any
    stale: Any
    stopped: Any
    diverged: Any
    losses: Any
    accuracies: Any
    validation_losses: Any

    @property
    def active(self) -> jax.Array:
        """Which runs still train."""
        return ~(self.stopped | self.diverged)


@flax.struct.dataclass
class FitState:
    """Where a program stands.

    Attributes:
      step: steps taken, int32 scalar.
      runs: what is kept of each run.
    """

    step: Any
    runs: RunState


def initial_state(trainable: Params, config: FitConfig, method: Method) -> FitState:
    """The state before the first step.

    Args:
      trainable: the trained leaves of N runs, stacked.
      config: of the program.
      method: of any of the runs.

    Returns:
      The state.
    """

    def of_one(leaves: Params) -> RunState:
        return RunState(
            trainable=leaves,
            optimizer=make_optimizer(0.0, 0.0, config).init(leaves),
            method_state=method.initial_state(leaves),
            # A copy, since a dispatch takes over the memory of each of the two.
            best=jax.tree.map(jnp.copy, leaves),
            best_accuracy=jnp.array(-1.0),
            best_loss=jnp.array(jnp.inf),
            best_step=jnp.array(0, jnp.int32),
            stale=jnp.array(0, jnp.int32),
            stopped=jnp.array(False),
            diverged=jnp.array(False),
            losses=jnp.full(config.steps, jnp.nan),
            accuracies=jnp.full(config.evaluations, jnp.nan),
            validation_losses=jnp.full(config.evaluations, jnp.nan),
        )

    return FitState(jnp.array(0, jnp.int32), jax.vmap(of_one)(trainable))
