"""The fit program: N stacked runs, many steps in a dispatch, validation inside.

Everything here is traced: `advance` is what a dispatch computes. The frozen base is an argument
that is not mapped over the runs, so it is held once; only the trainable half is differentiated. On
a mesh the runs are spread over its axis `runs`, and the examples of each batch over `batch`.
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
from fsl_jax.models.blocks.stack import rematerialized_layers
from fsl_jax.sharding import over_batch
from fsl_jax.tasks.formulation import Batch, Formulation
from fsl_jax.tasks.losses import correct, cross_entropy
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.optimizer import clip_gradients, make_optimizer, scale_updates
from fsl_jax.training.state import FitState, Runs, RunState

Advance = Callable[[FitState, Runs, Params, Batch], FitState]


def make_advance(
    formulation: Formulation,
    method: Method,
    config: FitConfig,
    mesh: Mesh | None = None,
) -> Advance:
    """The function of one dispatch.

    Args:
      formulation: how tokens become class logits.
      method: of any of the runs; of its attributes only those count that all runs share.
      config: of the program.
      mesh: the mesh that runs and batches are spread over, if there is one.

    Returns:
      `advance(state, runs, shared, pool) -> state`, a pure function to be jitted: takes
      `config.steps_per_dispatch` steps with every run and validates where it is due. `shared` is
      the frozen base, and `pool` the arrays `[E, ...]` of all examples of all runs.
    """

    def of_runs(of_run: Callable[..., RunState]) -> Callable[..., RunState]:
        axis = None if mesh is None else "runs"
        return jax.vmap(of_run, (0, 0, None, None, None), spmd_axis_name=axis)

    update = of_runs(_update(formulation, method, config, mesh))
    validate = of_runs(_validate(formulation, method, config, mesh))

    def advance(state: FitState, runs: Runs, shared: Params, pool: Batch) -> FitState:
        def step(now: FitState, _: None) -> tuple[FitState, None]:
            return FitState(now.step + 1, update(now.runs, runs, shared, pool, now.step)), None

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
    """The function of what a step of one run differentiates.

    Args:
      formulation: how tokens become class logits.
      method: of any of the runs.
      config: of the program.

    Returns:
      `gradient(trainable, frozen_leaves, shared, batch, key) -> (loss, gradients)`, of the leaves
      of one run, the frozen base, a batch, and a key where there is dropout.
    """

    def loss_of(
        trainable: Params, own: Params, shared: Params, batch: Batch, key: Array | None
    ) -> Float[Array, ""]:
        params = combine(trainable, own, shared)
        adapted = method.reparametrize(params)
        logits = formulation.logits(adapted, batch, dropout=config.dropout, key=key)
        loss = cross_entropy(logits, batch["label"]).mean()
        penalty = method.penalty(params)
        return loss if penalty is None else loss + penalty

    def gradient(
        trainable: Params, own: Params, shared: Params, batch: Batch, key: Array | None = None
    ) -> tuple[Float[Array, ""], Params]:
        with rematerialized_layers(config.rematerialize):
            return jax.value_and_grad(loss_of)(trainable, own, shared, batch, key)

    return gradient


def _update(
    formulation: Formulation,
    method: Method,
    config: FitConfig,
    mesh: Mesh | None,
) -> Callable[..., RunState]:
    """One step of one run."""
    gradient = make_gradient(formulation, method, config)

    def update(run: RunState, given: Runs, shared: Params, pool: Batch, step: Array) -> RunState:
        batch = take(pool, given.order[step], mesh)
        key = jax.random.fold_in(given.key, step) if config.dropout else None
        loss, gradients = gradient(run.trainable, given.frozen_leaves, shared, batch, key)
        optimizer = make_optimizer(given.learning_rate, given.weight_decay, config)
        # AdamW multiplies float32 by Python's and its own counters' types.
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimizer.update(gradients, run.optimizer, run.trainable)
            updates = scale_updates(updates, given.rate_factors)
            trainable = jax.tree.map(jnp.add, run.trainable, updates)
            norms = optax.tree.norm((gradients, updates))
            clipped = clip_gradients(gradients, config)
        trainable, method_state = method.after_step(
            trainable, given.frozen_leaves, clipped, run.method_state, step, config.steps
        )
        finite = jnp.isfinite(loss) & jnp.isfinite(norms)
        stepped = dataclasses.replace(
            run, trainable=trainable, optimizer=moments, method_state=method_state
        )
        kept = _where(run.active & finite, stepped, run)
        return dataclasses.replace(
            kept,
            diverged=run.diverged | (run.active & ~finite),
            losses=kept.losses.at[step].set(jnp.where(run.active, loss, jnp.nan)),
        )

    return update


def _validate(
    formulation: Formulation, method: Method, config: FitConfig, mesh: Mesh | None
) -> Callable[..., RunState]:
    """Validation of one run, which keeps its best parameters and may end it."""

    def validate(run: RunState, given: Runs, shared: Params, pool: Batch, step: Array) -> RunState:
        params = method.reparametrize(combine(run.trainable, given.frozen_leaves, shared))
        accuracy, loss = _measure(formulation, params, given, pool, mesh)
        finite = jnp.isfinite(loss)
        tied = (accuracy == run.best_accuracy) & (loss < run.best_loss)
        better = finite & ((accuracy > run.best_accuracy) | tied)
        improved = dataclasses.replace(
            run, best=run.trainable, best_accuracy=accuracy, best_loss=loss, best_step=step
        )
        stale = jnp.where(better, 0, run.stale + 1).astype(jnp.int32)
        place = (step - 1) // config.evaluate_every
        validated = dataclasses.replace(
            _where(better, improved, run),
            stale=stale,
            stopped=jnp.bool_(config.patience > 0) & (stale >= config.patience),
            diverged=~finite,
            accuracies=run.accuracies.at[place].set(accuracy),
            validation_losses=run.validation_losses.at[place].set(loss),
        )
        return _where(run.active, validated, run)

    return validate


def _measure(
    formulation: Formulation, params: Params, given: Runs, pool: Batch, mesh: Mesh | None
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean accuracy and loss on the validation examples, read a chunk at a time."""

    def chunk(rows_and_weight: tuple[Array, Array]) -> tuple[Array, Array]:
        rows, weight = rows_and_weight
        batch = take(pool, rows, mesh)
        logits = formulation.logits(params, batch)
        right = correct(logits, batch["label"]).astype(jnp.float32)
        return (right * weight).sum(), (cross_entropy(logits, batch["label"]) * weight).sum()

    right, loss = jax.lax.map(chunk, (given.validation, given.weight))
    count = given.weight.sum()
    return right.sum() / count, loss.sum() / count


def take(pool: Batch, rows: Array, mesh: Mesh | None = None) -> Batch:
    """The rows of a pool of examples, as a batch that is spread over the mesh's axis `batch`."""
    if mesh is not None:
        rows = jax.lax.with_sharding_constraint(rows, over_batch(mesh))
    return {name: array[rows] for name, array in pool.items()}


def _where(condition: Array, chosen: Any, otherwise: Any) -> Any:
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), chosen, otherwise)
