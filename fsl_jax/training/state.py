"""What a fit program is given for its runs, and what it keeps of them."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from fsl_jax.adapt.tree import Params
from fsl_jax.training.optimizer import make_optimizer
from fsl_jax.training.settings import FitSettings


@flax.struct.dataclass
class Runs:
    """What differs between the N runs of a program; stacked on the leading axis.

    Attributes:
      settings: leaves that are frozen and differ between runs, such as LoRA's scales.
      learning_rate: `[N]`.
      weight_decay: `[N]`.
      key: threefry keys `[N]` for dropout.
      order: for each step the rows of the pool that make the batch, int32 `[N, steps, B]`.
      validation: the rows of the pool to validate on, int32 `[N, chunks, evaluation_batch]`.
      weight: 1 for each of these rows that counts and 0 for one that fills a chunk, float32.
    """

    settings: Params
    learning_rate: jax.Array
    weight_decay: jax.Array
    key: jax.Array
    order: jax.Array
    validation: jax.Array
    weight: jax.Array


@flax.struct.dataclass
class RunState:
    """What a program keeps of its runs; every leaf has the runs on its leading axis.

    Attributes:
      trainable: the trained leaves as they are.
      optimizer: the optimiser's state.
      best: the trained leaves as they were at the best validation.
      best_accuracy: the accuracy there, from 0 to 1; -1 before the first.
      best_loss: the validation loss there, in nats, which decides between equal accuracies.
      best_step: the steps that had been taken there.
      stale: validations since then.
      stopped: True once the run has ended early.
      diverged: True once its loss was not a number; such a run keeps what it had before.
      losses: training loss by step, `[N, steps]`, NaN where a step was not taken.
      accuracies: validation accuracy, `[N, evaluations]`, NaN likewise.
      validation_losses: validation loss, `[N, evaluations]`, NaN likewise.
    """

    trainable: Params
    optimizer: Any
    best: Params
    best_accuracy: Float[Array, "*N"]
    best_loss: Float[Array, "*N"]
    best_step: Int32[Array, "*N"]
    stale: Int32[Array, "*N"]
    stopped: Bool[Array, "*N"]
    diverged: Bool[Array, "*N"]
    losses: Float[Array, "*N S"]
    accuracies: Float[Array, "*N E"]
    validation_losses: Float[Array, "*N E"]

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

    step: jax.Array
    runs: RunState


def initial_state(trainable: Params, settings: FitSettings) -> FitState:
    """The state before the first step.

    Args:
      trainable: the trained leaves of N runs, stacked.
      settings: the program's settings.

    Returns:
      The state.
    """

    def of_one(leaves: Params) -> RunState:
        return RunState(
            trainable=leaves,
            optimizer=make_optimizer(0.0, 0.0, settings).init(leaves),
            # A copy, since a dispatch takes over the memory of each of the two.
            best=jax.tree.map(jnp.copy, leaves),
            best_accuracy=jnp.array(-1.0),
            best_loss=jnp.array(jnp.inf),
            best_step=jnp.array(0, jnp.int32),
            stale=jnp.array(0, jnp.int32),
            stopped=jnp.array(False),
            diverged=jnp.array(False),
            losses=jnp.full(settings.steps, jnp.nan),
            accuracies=jnp.full(settings.evaluations, jnp.nan),
            validation_losses=jnp.full(settings.evaluations, jnp.nan),
        )

    return FitState(jnp.array(0, jnp.int32), jax.vmap(of_one)(trainable))
