"""Let a frozen model write answers to many queries, after demonstrations that are read once."""

from collections.abc import Callable, Sequence

import jax
from jax.sharding import Mesh

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import WritingFormulation
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.incontext.answered import Answered
from fsl_jax.models.generation.generate import generate
from fsl_jax.processes import to_host

BATCH_PROMPTS = 16
"""The number of prompts that are continued at a time."""


class AnswerWriter:
    """Lets a model write answers, of which it takes the likeliest token at each step."""

    def __init__(
        self,
        formulation: WritingFormulation,
        batch_prompts: int = BATCH_PROMPTS,
        mesh: Mesh | None = None,
    ):
        """Take the formulation.

        Args:
          formulation: turns examples into prompts, and reads answers.
          batch_prompts: the number of prompts that are continued at a time.
          mesh: the mesh, if there are several devices. Each process then writes all answers on its
            first device, since the tokens of a batch are few.
        """
        self.formulation = formulation
        self._batch_prompts = batch_prompts
        self._mesh = mesh

    def __call__(
        self,
        params: Params,
        queries: Sequence[Example],
        context: str = "",
        on_batch: Callable[[int], None] = lambda done: None,
    ) -> Answered:
        """Write answers to queries, and read them.

        Args:
          params: the model's parameters.
          queries: E examples, whose answers are not read.
          context: text before each query, such as demonstrations.
          on_batch: called after each batch with the number of queries answered so far.

        Returns:
          The answers.
        """
        prompts = self.formulation.prompts(queries, context)
        tokenized = Tokenized([prompt.ids for prompt in prompts], sum(p.is_cut for p in prompts))
        continuations = generate(
            self.formulation.pretrained,
            [prompt.text for prompt in prompts],
            params=self._placed(params),
            max_new_tokens=self.formulation.max_answer,
            stop=self.formulation.stop,
            skip_blank=True,
            batch_size=self._batch_prompts,
            share_prefix=True,
            on_batch=on_batch,
        )
        texts = [best.text for best, *_ in continuations]
        answers = list(self.formulation.decode(texts, queries, tokenized))
        return Answered(answers, tokenized.truncated)

    def _placed(self, params: Params) -> Params:
        """Return parameters on one device of this process."""
        if self._mesh is None:
            return params
        return jax.device_put(to_host(params), jax.local_devices()[0])
