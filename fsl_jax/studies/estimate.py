"""How many floating-point operations a program takes, counted from the shapes of its matrices.

The compiler's own count is of no use here: it counts the body of a loop once.
"""

import math

import jax

from fsl_jax.adapt.tree import Params, flatten
from fsl_jax.studies.context import Context
from fsl_jax.studies.plan import PlannedProgram
from fsl_jax.studies.prepare import prepare
from fsl_jax.studies.prompting import make_prompted, prompt_text
from fsl_jax.training.caching import cached_name


def fit_operations(context: Context, planned: PlannedProgram) -> float:
    """Operations of all runs of a program that trains.

    A step costs the forward pass, the gradient of the activations as much again, and the gradient
    of the trained matrices their share.

    Args:
      context: the study.
      planned: the program.

    Returns:
      The number of operations.
    """
    pretrained = context.load(planned.model)
    prepared = prepare(planned, pretrained, context.dataset, context.question)
    stack = prepared.stack
    params = flatten(stack.shared) | flatten(_first(stack.trainable))
    sizes = _matrix_sizes({path: leaf for path, leaf in params.items() if leaf is not None})
    above = {None: "", "trunk": "top_layers/", "representation": "head/"}[cached_name(stack.mask)]
    forward = 2 * sum(size for path, size in sizes.items() if path.startswith(above))
    trained = 2 * sum(size for path, size in sizes.items() if flatten(stack.mask).get(path))
    settings = prepared.settings
    chunks = prepared.runs.validation.shape[1] * prepared.runs.validation.shape[2]
    per_run = settings.steps * settings.batch_size * (2 * forward + trained)
    per_run += settings.evaluations * chunks * forward
    once = len(context.test) * 2 * sum(sizes.values()) * len(context.question.seeds)
    tokens = 1 if above == "head/" else planned.tokens
    return float(len(planned.runs) * tokens * per_run + planned.tokens * once)


def prompt_operations(context: Context, planned: PlannedProgram) -> float:
    """Operations of asking a model, what all prompts share being read once a split.

    Args:
      context: the study.
      planned: the program.

    Returns:
      The number of operations.
    """
    formulation = make_prompted(context, planned)
    forward = 2 * sum(_matrix_sizes(flatten(formulation.pretrained.params)).values())
    queries, _ = formulation.tokenize(context.test)
    own = sum(map(len, queries))
    asked = {prompt_text(context, formulation, run)[0] for run in planned.runs}
    tokenizer = formulation.pretrained.tokenizer
    return float(forward) * sum(own + len(tokenizer(text)["input_ids"]) for text in asked)


def _first(stacked: Params) -> Params:
    return jax.tree.map(lambda leaf: leaf[0], stacked)


def _matrix_sizes(leaves: dict) -> dict[str, int]:
    """Numbers of each matrix that activations are multiplied with."""
    factors = ("/kernel", "/lora_a", "/lora_b")
    return {path: math.prod(leaf.shape) for path, leaf in leaves.items() if path.endswith(factors)}
