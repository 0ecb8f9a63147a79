"""Count the floating-point operations of a program.

The functions that a program runs are traced with shapes, and their matrix products are counted.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fsl_jax.adapt.partition import combine
from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.formulations.formulation import Formulation, PromptFormulation, WritingFormulation
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.models.generation.shared_prefix import worth_sharing
from fsl_jax.models.outputs import KeyValues
from fsl_jax.operations import product_operations
from fsl_jax.packing.batch import Batch, gather
from fsl_jax.packing.placements import Placements
from fsl_jax.packing.pool import Pool
from fsl_jax.studies.forecasting.written_operations import writing_operations, written_tokens
from fsl_jax.studies.planning.formulations import make_formulation
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.running.prepare import Prepared, prepare
from fsl_jax.studies.running.prompting import (
    has_demonstrations,
    make_prompt_formulation,
    prompt_context,
)
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.training.caching import pool_shapes
from fsl_jax.training.fit import make_gradient
from fsl_jax.training.stacked_runs import stack_shapes


def program_operations(study: RunningStudy, planned: PlannedProgram) -> float:
    """Count the operations of a program.

    Args:
      study: the study.
      planned: the program; it need not have been compiled.

    Returns:
      The number of operations.
    """
    count = fit_operations if planned.trains else prompt_operations
    return count(study, planned)


def program_written_tokens(study: RunningStudy, planned: PlannedProgram) -> int:
    """Count the tokens that the models of a program write at most, to answer the test examples.

    Args:
      study: the study.
      planned: the program; it need not have been compiled.

    Returns:
      The number of tokens; 0 if no answers are written.
    """
    formulation: Formulation
    if planned.trains:
        pretrained = study.load(planned.model)
        formulation = make_formulation(planned.formulation, pretrained, study.dataset, study.config)
        times = _selected_runs(planned)
    else:
        formulation = make_prompt_formulation(study, planned)
        times = len({run.seed if has_demonstrations(run) else None for run in planned.runs})
    return written_tokens(formulation, study.test, times)


def _selected_runs(planned: PlannedProgram) -> int:
    """Count the runs that read the test set: one of each method and seed."""
    return len({(run.method_text, run.seed) for run in planned.runs})


def fit_operations(study: RunningStudy, planned: PlannedProgram) -> float:
    """Count the operations of a program that trains, if no run ends early.

    Args:
      study: the study.
      planned: the program.

    Returns:
      The number of operations.
    """
    pretrained = study.load(planned.model)
    prepared = prepare(planned, pretrained, study.dataset, study.config, stack_shapes, study.mesh)
    stack, config, whole = prepared.stack, prepared.fit_config, prepared.encoded.pool
    pool = pool_shapes(prepared.formulation, stack.shared, stack.mask, whole)
    chunks, shape = prepared.runs.validation.examples.shape[1], prepared.runs.validation.shape
    forward = _forward_operations(prepared, pool)
    # If the lower layers are computed once for each example, `forward` leaves them out.
    cached = _forward_operations(prepared, whole) - forward if pool.is_cached else 0
    training = config.steps * _step_operations(prepared, pool)
    validation = config.evaluations * chunks * forward
    selected = _selected_runs(planned)
    if isinstance(prepared.formulation, WritingFormulation):
        testing = float(selected) * writing_operations(prepared.formulation, study.test)
    else:
        tokens = _count_tokens(prepared.formulation, study.test)
        testing = tokens / shape.tokens * (selected * forward + cached)
    once = len(whole.tokens) / shape.tokens * cached
    return len(planned.runs) * (training + validation) + once + testing


def _step_operations(prepared: Prepared, pool: Pool) -> int:
    """Count the operations of the loss of one run on one batch, and of its gradient."""
    # Dropout has no matrix products, and would need a key.
    config = dataclasses.replace(prepared.fit_config, dropout=0.0)
    gradient = make_gradient(prepared.formulation, prepared.stack.method, config)
    return _run_operations(prepared, gradient, pool, prepared.runs.training)


def _forward_operations(prepared: Prepared, pool: Pool) -> int:
    """Count the operations of the class logits of one run on a chunk of a validation."""
    formulation, method = prepared.formulation, prepared.stack.method

    def forward(
        trainable: Params, frozen_leaves: Params, shared: Params, batch: Batch
    ) -> jax.Array:
        params = method.reparametrize(combine(trainable, frozen_leaves, shared))
        return formulation.outputs(params, batch)

    return _run_operations(prepared, forward, pool, prepared.runs.validation)


def _run_operations(
    prepared: Prepared, function: Callable[..., Any], pool: Pool, placements: Placements
) -> int:
    """Count the operations of a function of one run's leaves, the base, and a batch of a pool."""
    stack = prepared.stack
    run = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype),
        (stack.trainable, stack.frozen_leaves),
    )
    batch = jax.eval_shape(
        lambda pool, placements: gather(pool, placements.at((0, 0))), pool, placements
    )
    return product_operations(
        lambda run, shared, batch: function(*run, shared, batch), run, stack.shared, batch
    )


def _count_tokens(formulation: Formulation, examples: Sequence[Example]) -> int:
    return sum(map(len, formulation.tokenize(examples).tokens))


def prompt_operations(study: RunningStudy, planned: PlannedProgram) -> float:
    """Count the operations of prompting; the shared start of the prompts is read once per split.

    Args:
      study: the study.
      planned: the program.

    Returns:
      The number of operations.
    """
    formulation = make_prompt_formulation(study, planned)
    contexts = {prompt_context(study, formulation, run).text for run in planned.runs}
    return float(sum(_asking_operations(formulation, study.test, text) for text in contexts))


def _asking_operations(
    formulation: PromptFormulation, queries: Sequence[Example], text: str
) -> int:
    if isinstance(formulation, WritingFormulation):
        return writing_operations(formulation, queries, text)
    assert isinstance(formulation, TemplateFormulation)
    return _query_operations(formulation, queries, text)


def _query_operations(
    formulation: TemplateFormulation, queries: Sequence[Example], text: str
) -> int:
    """Count the operations of queries of mean length after a text that is read once."""
    tokens = formulation.tokenize(queries, text).tokens
    has_encoder = formulation.pretrained.config.is_encoder_decoder
    shared = worth_sharing(tokens, has_encoder=has_encoder)
    mean = math.ceil(sum(map(len, tokens)) / len(tokens))

    def read(params: Params) -> KeyValues:
        ids, mask = jnp.zeros((1, shared), jnp.int32), jnp.ones((1, shared), bool)
        return formulation.pretrained.apply(params, ids, mask, unembed=False).key_values

    def ask(params: Params, batch: Batch, prefix: KeyValues | None) -> jax.Array:
        return formulation.outputs(params, batch, prefix=prefix)

    params = formulation.pretrained.params
    one = unpacked_batch(formulation.segments(params, [[0] * (mean - shared)]))
    prefix = jax.eval_shape(read, params) if shared else None
    once = product_operations(read, params) if shared else 0
    return once + len(tokens) * product_operations(ask, params, one, prefix)
