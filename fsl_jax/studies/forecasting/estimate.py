"""Count the floating-point operations of a program.

The functions that a program runs are traced with shapes, and their matrix products are counted.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fsl_jax.adapt.partition import combine
from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.incontext.scoring import shared_beginning
from fsl_jax.operations import product_operations
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.running.prepare import Prepared, prepare
from fsl_jax.studies.running.prompting import make_prompt_formulation, prompt_context
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.tasks.formulation import Batch
from fsl_jax.tasks.template_formulation import TemplateFormulation
from fsl_jax.training.caching import pool_shapes
from fsl_jax.training.fit import make_gradient, take
from fsl_jax.training.stacked_runs import stack_shapes

Pool = Mapping[str, Any]
"""Arrays `[E, ...]` of examples by name, or their shapes."""


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


def fit_operations(study: RunningStudy, planned: PlannedProgram) -> float:
    """Count the operations of a program that trains, if no run ends early.

    Args:
      study: the study.
      planned: the program.

    Returns:
      The number of operations.
    """
    pretrained = study.load(planned.model)
    prepared = prepare(planned, pretrained, study.dataset, study.config, stack_shapes)
    stack, config, arrays = prepared.stack, prepared.fit_config, prepared.encoded.arrays
    pool = pool_shapes(prepared.formulation, stack.shared, stack.mask, arrays)
    _, chunks, size = prepared.runs.validation.shape
    forward = _forward_operations(prepared, pool, size) / size
    # If the lower layers are computed once for each example, `forward` leaves them out.
    cached = 0.0
    if pool.keys() != arrays.keys():
        cached = _forward_operations(prepared, arrays, size) / size - forward
    validation = config.evaluations * chunks * size * forward
    training = config.steps * _step_operations(prepared, pool) + validation
    # The selected run of each method and seed reads the test set.
    selected = len({(run.method_text, run.seed) for run in planned.runs})
    testing = len(study.test) * (selected * forward + cached)
    return len(planned.runs) * training + len(arrays["label"]) * cached + testing


def _step_operations(prepared: Prepared, pool: Pool) -> int:
    """Count the operations of the loss of one run on one batch, and of its gradient."""
    # Dropout has no matrix products, and would need a key.
    config = dataclasses.replace(prepared.fit_config, dropout=0.0)
    gradient = make_gradient(prepared.formulation, prepared.stack.method, config)
    return _run_operations(prepared, gradient, pool, config.batch_size)


def _forward_operations(prepared: Prepared, pool: Pool, size: int) -> int:
    """Count the operations of the class logits of one run on `size` examples."""
    formulation, method = prepared.formulation, prepared.stack.method

    def forward(
        trainable: Params, frozen_leaves: Params, shared: Params, batch: Batch
    ) -> jax.Array:
        params = method.reparametrize(combine(trainable, frozen_leaves, shared))
        return formulation.logits(params, batch)

    return _run_operations(prepared, forward, pool, size)


def _run_operations(prepared: Prepared, function: Callable[..., Any], pool: Pool, size: int) -> int:
    """Count the operations of a function of one run's leaves, the base, and a batch of a pool."""
    stack, rows = prepared.stack, jnp.zeros(size, jnp.int32)
    run = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype),
        (stack.trainable, stack.frozen_leaves),
    )
    return product_operations(
        lambda run, shared, pool: function(*run, shared, take(pool, rows)), run, stack.shared, pool
    )


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
    return float(sum(_query_operations(formulation, study.test, text) for text in contexts))


def _query_operations(
    formulation: TemplateFormulation, queries: Sequence[Example], text: str
) -> int:
    """Count the operations of queries of mean length after a text that is read once."""
    tokens, _ = formulation.tokenize(queries, text)
    shared = shared_beginning(formulation, tokens)
    mean = math.ceil(sum(map(len, tokens)) / len(tokens))

    def ask(params: Params, beginning: Batch, batch: Batch) -> jax.Array:
        prefix = None
        if shared:
            ids, mask = beginning["input_ids"], beginning["attention_mask"]
            read = formulation.pretrained.apply
            prefix = read(params, ids, mask, unembed=False).key_values
        return formulation.logits(params, batch, prefix=prefix)

    beginning, batch = _token_shapes(1, shared), _token_shapes(len(tokens), mean - shared)
    return product_operations(ask, formulation.pretrained.params, beginning, batch)


def _token_shapes(examples: int, tokens: int) -> dict[str, jax.ShapeDtypeStruct]:
    shape = (examples, tokens)
    return {
        "input_ids": jax.ShapeDtypeStruct(shape, jnp.int32),
        "attention_mask": jax.ShapeDtypeStruct(shape, jnp.bool_),
    }
