"""How many floating-point operations a program takes, counted from what it computes.

What a program computes is traced with shapes, and the matrix products of that are counted.
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
from fsl_jax.studies.planning.plan import PlannedProgram
from fsl_jax.studies.running.prepare import Prepared, prepare
from fsl_jax.studies.running.prompting import make_prompted, prompt_text
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.tasks.formulation import Batch
from fsl_jax.tasks.template_formulation import TemplateFormulation
from fsl_jax.training.caching import pool_shapes
from fsl_jax.training.fit import make_gradient, take
from fsl_jax.training.stack import stack_shapes

Pool = Mapping[str, Any]
"""Arrays `[E, ...]` of examples by name, or their shapes."""


def program_operations(study: RunningStudy, planned: PlannedProgram) -> float:
    """Operations of a program of either kind.

    Args:
      study: the study.
      planned: the program; it need not have been compiled.

    Returns:
      The number of operations.
    """
    count = prompt_operations if planned.prompted else fit_operations
    return count(study, planned)


def fit_operations(study: RunningStudy, planned: PlannedProgram) -> float:
    """Operations of all runs of a program that trains, none of which ends early.

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
    reading = _reading(prepared, pool, size) / size
    # With what is kept of an example, reading it takes less by what computing that took.
    keeping = 0.0
    if pool.keys() != arrays.keys():
        keeping = _reading(prepared, arrays, size) / size - reading
    validation = config.evaluations * chunks * size * reading
    training = config.steps * _step(prepared, pool) + validation
    # The test set is read with the run that is selected for each method and seed.
    selected = len({(run.method, run.seed) for run in planned.runs})
    testing = len(study.test) * (selected * reading + keeping)
    return len(planned.runs) * training + len(arrays["label"]) * keeping + testing


def _step(prepared: Prepared, pool: Pool) -> int:
    """Operations of the loss of one run on one batch, and of its gradient."""
    # Dropout has no matrix products, and would need a key.
    config = dataclasses.replace(prepared.fit_config, dropout=0.0)
    gradient = make_gradient(prepared.formulation, prepared.stack.method, config)
    return _of_one_run(prepared, gradient, pool, config.batch_size)


def _reading(prepared: Prepared, pool: Pool, size: int) -> int:
    """Operations of the class logits of one run on so many examples."""
    formulation, method = prepared.formulation, prepared.stack.method

    def read(trainable: Params, own: Params, shared: Params, batch: Batch) -> jax.Array:
        params = method.reparametrize(combine(trainable, own, shared))
        return formulation.logits(params, batch)

    return _of_one_run(prepared, read, pool, size)


def _of_one_run(prepared: Prepared, function: Callable[..., Any], pool: Pool, size: int) -> int:
    """Operations of a function of a run's leaves, the base, and so many examples of a pool."""
    stack, rows = prepared.stack, jnp.zeros(size, jnp.int32)
    run = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype),
        (stack.trainable, stack.frozen_leaves),
    )
    return product_operations(
        lambda run, shared, pool: function(*run, shared, take(pool, rows)), run, stack.shared, pool
    )


def prompt_operations(study: RunningStudy, planned: PlannedProgram) -> float:
    """Operations of asking a model, what all prompts share being read once a split.

    Args:
      study: the study.
      planned: the program.

    Returns:
      The number of operations.
    """
    formulation = make_prompted(study, planned)
    asked = {prompt_text(study, formulation, run)[0] for run in planned.runs}
    return float(sum(_asking(formulation, study.test, text) for text in asked))


def _asking(formulation: TemplateFormulation, queries: Sequence[Example], text: str) -> int:
    """Operations of queries of their mean length after a text, which is read once."""
    tokens, _ = formulation.tokenize(queries, text)
    shared = shared_beginning(formulation, tokens)
    mean = math.ceil(sum(map(len, tokens)) / len(tokens))

    def ask(params: Params, beginning: Batch, batch: Batch) -> jax.Array:
        ids, mask = beginning["input_ids"], beginning["attention_mask"]
        read = formulation.pretrained.apply
        prefix = read(params, ids, mask, unembed=False).key_values if shared else None
        return formulation.logits(params, batch, prefix=prefix)

    beginning, batch = _token_shapes(1, shared), _token_shapes(len(tokens), mean - shared)
    return product_operations(ask, formulation.pretrained.params, beginning, batch)


def _token_shapes(examples: int, tokens: int) -> dict[str, jax.ShapeDtypeStruct]:
    shape = (examples, tokens)
    return {
        "input_ids": jax.ShapeDtypeStruct(shape, jnp.int32),
        "attention_mask": jax.ShapeDtypeStruct(shape, jnp.bool_),
    }
