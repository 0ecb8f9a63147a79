"""Count the tokens that a study's models write, and the operations that these take."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import Formulation, WritingFormulation
from fsl_jax.models.generation.prompt_reader import PromptOutput, PromptReader
from fsl_jax.models.generation.shared_prefix import worth_sharing
from fsl_jax.operations import product_operations


def written_tokens(formulation: Formulation, examples: Sequence[Example], times: int) -> int:
    """Count the tokens that are written at most.

    Args:
      formulation: says how the model is asked; only some let it write.
      examples: the examples that are asked about.
      times: how often each of them is asked about.

    Returns:
      The number of tokens; 0 if none are written.
    """
    if not isinstance(formulation, WritingFormulation):
        return 0
    return times * len(examples) * formulation.max_answer


def writing_operations(
    formulation: WritingFormulation, queries: Sequence[Example], text: str = ""
) -> int:
    """Count the operations of writing answers, if each is as long as it may be.

    Args:
      formulation: says how the model is asked.
      queries: the examples that are asked about.
      text: the text before each of them, whose tokens are read once.

    Returns:
      The number of operations of reading prompts and of writing.
    """
    tokens = [prompt.ids for prompt in formulation.prompts(queries, text)]
    reader = PromptReader.for_model(formulation.pretrained)
    params = formulation.pretrained.params
    shared = worth_sharing(tokens, has_encoder=reader.has_encoder)
    mean = math.ceil(sum(map(len, tokens)) / len(tokens)) - shared
    prefix, once = None, 0
    if shared:
        prefix = jax.eval_shape(reader.read_prefix, params, *_tokens(shared))
        once = product_operations(reader.read_prefix, params, *_tokens(shared))
    read = jax.eval_shape(reader.read, params, *_tokens(mean), prefix)
    reading = product_operations(reader.read, params, *_tokens(mean), prefix)
    step = _step_operations(reader, params, read)
    written = written_tokens(formulation, queries, 1)
    return once + len(tokens) * reading + written * step


def _tokens(count: int) -> tuple[jax.Array, jax.Array]:
    """Return a row of tokens and its mask."""
    return jnp.zeros((1, count), jnp.int32), jnp.ones((1, count), bool)


def _step_operations(reader: PromptReader, params: Params, read: PromptOutput) -> int:
    """Count the operations of reading one more token after a prompt."""
    one = jnp.zeros(1, jnp.int32)

    def step(params: Params, read: PromptOutput) -> jax.Array:
        return reader.step(params, one, one, read.key_values, read.encoded)[0]

    return product_operations(step, params, read)
