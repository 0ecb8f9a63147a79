"""The fit program, which trains N stacked runs for many steps per dispatch, and validates them.

Everything here is traced: `advance` computes one dispatch. The frozen base is not mapped over the
runs, so it is held once. Only the trainable leaves are differentiated. On a mesh, the runs are
sharded over the axis `runs`, and the packed rows of each batch over `batch`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.partition import combine
from fsl_jax.adapt.tree import Params
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.models.blocks.stack import rematerialized_layers
from fsl_jax.packing.batch import Batch, gather
from fsl_jax.packing.placements import Placements
from fsl_jax.packing.pool import Pool
from fsl_jax.sharding import over_batch
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.optimizer import clip_gradients, make_optimizer, scale_updates
from fsl_jax.training.state import FitState, Runs, RunState

Advance = Callable[[FitState, Runs, Params, Pool], FitState]


def make_advance(
    formulation: Formulation,
    method: Method,
    config: FitConfig,
    mesh: Mesh | None = None,
) -> Advance:
    """Make the function of one dispatch.

    Args:
      formulation: says how the model is asked.
      method: the method of any of the runs; only attributes that all runs share are read.
      config: the config of the program.
      mesh: the mesh over which runs and batches are sharded, if there is one.

    Returns:
      `advance(state, runs, shared, pool) -> state`, a pure function to be jitted. It takes
      `config.steps_per_dispatch` steps with every run, and validates if it is time to. `shared` is
      the frozen base, and `pool` has the examples of all runs.
    """

    def over_runs(function: Callable[..., RunState]) -> Callable[..., RunState]:
        axis = None if mesh is None else "runs"
        return jax.vmap(function, (0, 0, None, None, None), spmd_axis_name=axis)

    update = over_runs(_update(formulation, method, config, mesh))
    validate = over_runs(_validate(formulation, method, config, mesh))

    def advance(state: FitState, runs: Runs, shared: Params, pool: Pool) -> FitState:
        def step(current: FitState, _: None) -> tuple[FitState, None]:
            updated = update(current.runs, runs, shared, pool, current.step)
            return FitState(current.step + 1, updated), None

        state, _ = jax.lax.scan(step, state, None, length=config.steps_per_dispatch)
        due = (state.step % config.evaluate_every == 0) | (state.step >= config.steps)
        validated = jax.lax.cond(
            due,
            lambda current: validate(current, runs, shared, pool, state.step),
            lambda current: current,
            state.runs,
        )
        return FitState(state.step, validated)

    return advance


def make_gradient(
    formulation: Formulation, method: Method, config: FitConfig
) -> Callable[..., tuple[Float[Array, ""], Params]]:
    """Make the function that computes the loss of one run and its gradients.

    Args:
      formulation: says how the model is asked.
      method: the method of any of the runs.
      config: the config of the program.

    Returns:
      `gradient(trainable, frozen_leaves, shared, batch, key) -> (loss, gradients)`. It takes the
      leaves of one run, the frozen base, a batch, and a random key if there is dropout.
    """

    def loss_of(
        trainable: Params, frozen_leaves: Params, shared: Params, batch: Batch, key: Array | None
    ) -> Float[Array, ""]:
        params = combine(trainable, frozen_leaves, shared)
        adapted = method.reparametrize(params)
        outputs = formulation.outputs(adapted, batch, dropout=config.dropout, key=key)
        loss = _mean(*formulation.objective.losses(outputs, batch.targets))
        penalty = method.penalty(params)
        return loss if penalty is None else loss + penalty

    def gradient(
        trainable: Params,
        frozen_leaves: Params,
        shared: Params,
        batch: Batch,
        key: Array | None = None,
    ) -> tuple[Float[Array, ""], Params]:
        with rematerialized_layers(config.rematerialize):
            return jax.value_and_grad(loss_of)(trainable, frozen_leaves, shared, batch, key)

    return gradient


def _update(
    formulation: Formulation,
    method: Method,
    config: FitConfig,
    mesh: Mesh | None,
) -> Callable[..., RunState]:
    """Make the function that takes one step with one run."""
    gradient = make_gradient(formulation, method, config)
    rows = None if mesh is None else over_batch(mesh)

    def update(run: RunState, inputs: Runs, shared: Params, pool: Pool, step: Array) -> RunState:
        batch = gather(pool, inputs.training.at(step), rows)
        key = jax.random.fold_in(inputs.key, step) if config.dropout else None
        loss, gradients = gradient(run.trainable, inputs.frozen_leaves, shared, batch, key)
        optimizer = make_optimizer(inputs.learning_rate, inputs.weight_decay, config)
        # AdamW multiplies float32 arrays by Python numbers and by its integer counters.
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimizer.update(gradients, run.optimizer, run.trainable)
            updates = scale_updates(updates, inputs.rate_factors)
            trainable = jax.tree.map(jnp.add, run.trainable, updates)
            norms = optax.tree.norm((gradients, updates))
            clipped = clip_gradients(gradients, config)
        trainable, method_state = method.after_step(
            trainable, inputs.frozen_leaves, clipped, run.method_state, step, config.steps
        )
        finite = jnp.isfinite(loss) & jnp.isfinite(norms)
        stepped = dataclasses.replace(
            run, trainable=trainable, optimizer=moments, method_state=method_state
        )
        updated = _where(run.active & finite, stepped, run)
        return dataclasses.replace(
            updated,
            diverged=run.diverged | (run.active & ~finite),
            losses=updated.losses.at[step].set(jnp.where(run.active, loss, jnp.nan)),
        )

    return update


def _validate(
    formulation: Formulation, method: Method, config: FitConfig, mesh: Mesh | None
) -> Callable[..., RunState]:
    """Make the function that validates one run, keeps its best leaves, and may end it."""

    def validate(run: RunState, inputs: Runs, shared: Params, pool: Pool, step: Array) -> RunState:
        params = method.reparametrize(combine(run.trainable, inputs.frozen_leaves, shared))
        measure, loss = _measure(formulation, params, inputs, pool, mesh)
        finite = jnp.isfinite(loss)
        tied = (measure == run.best_measure) & (loss < run.best_loss)
        better = finite & ((measure > run.best_measure) | tied)
        improved = dataclasses.replace(
            run, best=run.trainable, best_measure=measure, best_loss=loss, best_step=step
        )
        stale = jnp.where(better, 0, run.stale + 1).astype(jnp.int32)
        index = (step - 1) // config.evaluate_every
        validated = dataclasses.replace(
            _where(better, improved, run),
            stale=stale,
            stopped=jnp.bool_(config.patience > 0) & (stale >= config.patience),
            diverged=~finite,
            measures=run.measures.at[index].set(measure),
            validation_losses=run.validation_losses.at[index].set(loss),
        )
        return _where(run.active, validated, run)

    return validate


def _measure(
    formulation: Formulation, params: Params, inputs: Runs, pool: Pool, mesh: Mesh | None
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return the measure and the mean loss on the validation examples, one chunk at a time."""
    rows, objective = None if mesh is None else over_batch(mesh), formulation.objective

    def chunk(placements: Placements) -> tuple[Array, Array, Array]:
        batch = gather(pool, placements, rows)
        outputs = formulation.outputs(params, batch)
        losses, counts = objective.losses(outputs, batch.targets)
        statistics = objective.statistics(outputs, batch.targets)
        totals = (batch.weight[:, None] * statistics).sum(axis=0)
        return totals, (losses * batch.weight).sum(), (counts * batch.weight).sum()

    totals, losses, counts = jax.lax.map(chunk, inputs.validation)
    return objective.measure(totals.sum(axis=0)), _mean(losses, counts)


def _mean(losses: Float[Array, " B"], counts: Float[Array, " B"]) -> Float[Array, ""]:
    """Return the mean of all losses, given sums of some and their counts."""
    # A batch without anything to predict has the loss 0.
    return losses.sum() / jnp.maximum(counts.sum(), 1.0)


def _where(condition: Array, tree: Any, otherwise: Any) -> Any:
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), tree, otherwise)
