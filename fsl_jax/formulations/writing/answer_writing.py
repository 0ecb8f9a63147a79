"""Let a model write the answers to prompts, of which it takes the likeliest token at each step."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import WritingFormulation
from fsl_jax.formulations.prompts import Prompt
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.models.generation.generate import generate
from fsl_jax.processes import to_host

BATCH_PROMPTS = 16
"""The number of prompts that are continued at a time."""


@dataclasses.dataclass(frozen=True, eq=False)
class WrittenAnswers:
    """The answers that a model wrote after the prompts of E examples.

    Attributes:
      answers: the answer that each text gives, in the form of the task; None where it gives none.
      texts: the texts.
      cut: the number of texts that were cut at the formulation's `max_answer`.
    """

    answers: list[Any]
    texts: list[str]
    cut: int


def write_answers(
    formulation: WritingFormulation,
    params: Params,
    examples: Sequence[Example],
    prompts: Sequence[Prompt],
    *,
    mesh: Mesh | None = None,
    batch_prompts: int = BATCH_PROMPTS,
    share_prefix: bool = False,
    on_batch: Callable[[int], None] = lambda done: None,
) -> WrittenAnswers:
    """Let a model write answers, and read them.

    Args:
      formulation: says how the model is asked, and reads its texts.
      params: the model's parameters.
      examples: E examples, whose answers are not read.
      prompts: their prompts.
      mesh: the mesh, if there are several devices. Each process then writes all answers on its
        first device, since the tokens of a batch are few.
      batch_prompts: the number of prompts that are continued at a time.
      share_prefix: as for `generate`.
      on_batch: as for `generate`.

    Returns:
      The answers.
    """
    if not prompts:
        return WrittenAnswers([], [], 0)
    continuations = generate(
        formulation.pretrained,
        [prompt.text for prompt in prompts],
        params=params if mesh is None else _on_one_device(params),
        max_new_tokens=formulation.max_answer,
        stop=formulation.stop,
        skip_blank=True,
        batch_size=batch_prompts,
        share_prefix=share_prefix,
        on_batch=on_batch,
    )
    texts = [best.text for best, *_ in continuations]
    tokenized = Tokenized([prompt.ids for prompt in prompts], sum(each.is_cut for each in prompts))
    answers = list(formulation.decode(texts, examples, tokenized))
    return WrittenAnswers(answers, texts, sum(best.ended == "length" for best, *_ in continuations))


def _on_one_device(params: Params) -> Params:
    """Return parameters on one device of this process."""
    return jax.device_put(to_host(params), jax.local_devices()[0])
