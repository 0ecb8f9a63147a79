"""The inputs and the state of the runs of a fit program."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.tree import Params
from fsl_jax.packing.placements import Placements
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.optimizer import make_optimizer

# The fields below are leaves of pytrees. A pytree can be mapped to shapes, shardings or other
# objects, so the annotations cannot be checked as shapes.


@flax.struct.dataclass
class Runs:
    """The leaves and numbers that differ between the N runs of a program, stacked on axis 0.

    Attributes:
      frozen_leaves: frozen leaves that differ between runs, such as LoRA's scales.
      learning_rate: the peak learning rates, float32 `[N]`.
      weight_decay: the weight decays, float32 `[N]`.
      key: threefry keys `[N]` for dropout.
      training: the examples of each step and their places, `[N, steps, B]`.
      validation: the examples to validate on and their places, `[N, chunks, B]`.
      rate_factors: a factor for the learning rate of each trainable leaf, a tree of `[N]`; an empty
        tuple if all factors are 1.
    """

    frozen_leaves: Params
    learning_rate: Any
    weight_decay: Any
    key: Any
    training: Placements
    validation: Placements
    rate_factors: Any = ()


@flax.struct.dataclass
class RunState:
    """The state of the runs of a program; every leaf has the runs on its leading axis.

    Attributes:
      trainable: the current trainable leaves.
      optimizer: the state of the optimiser.
      method_state: the state that the method keeps from step to step.
      best: the trainable leaves at the best validation.
      best_measure: the objective's measure at the best validation, float32; -inf before the first.
      best_loss: the loss at the best validation, in nats; it decides between equal measures.
      best_step: the number of steps taken at the best validation, int32.
      stale: the number of validations since the best one, int32.
      stopped: True once the run has ended early.
      diverged: True once a loss or an update was not finite; the run keeps its last finite state.
      losses: training loss by step, `[N, steps]`, NaN where a step was not taken.
      measures: the measure of each validation, `[N, evaluations]`, NaN where not computed.
      validation_losses: validation loss, `[N, evaluations]`, NaN where not computed.
    """

    trainable: Params
    optimizer: Any
    method_state: Any
    best: Params
    best_measure: Any
    best_loss: Any
    best_step: Any
    stale: Any
    stopped: Any
    diverged: Any
    losses: Any
    measures: Any
    validation_losses: Any

    @property
    def active(self) -> jax.Array:
        """True for each run that still trains, bool `[N]`."""
        return ~(self.stopped | self.diverged)


@flax.struct.dataclass
class FitState:
    """The state of a program.

    Attributes:
      step: the number of steps taken, int32 scalar.
      runs: the state of the runs.
    """

    step: Any
    runs: RunState


def initial_state(trainable: Params, config: FitConfig, method: Method) -> FitState:
    """Make the state before the first step.

    Args:
      trainable: the trainable leaves of N runs, stacked.
      config: the config of the program.
      method: the method of any of the runs.

    Returns:
      The state.
    """

    def of_one(leaves: Params) -> RunState:
        return RunState(
            trainable=leaves,
            optimizer=make_optimizer(0.0, 0.0, config).init(leaves),
            method_state=method.initial_state(leaves),
            # Copy, since the buffers of both are donated to a dispatch.
            best=jax.tree.map(jnp.copy, leaves),
            best_measure=jnp.array(-jnp.inf),
            best_loss=jnp.array(jnp.inf),
            best_step=jnp.array(0, jnp.int32),
            stale=jnp.array(0, jnp.int32),
            stopped=jnp.array(False),
            diverged=jnp.array(False),
            losses=jnp.full(config.steps, jnp.nan),
            measures=jnp.full(config.evaluations, jnp.nan),
            validation_losses=jnp.full(config.evaluations, jnp.nan),
        )

    return FitState(jnp.array(0, jnp.int32), jax.vmap(of_one)(trainable))
