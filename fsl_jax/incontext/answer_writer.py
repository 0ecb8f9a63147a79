"""Let a frozen model write answers to many queries, after demonstrations that are read once."""

from collections.abc import Callable, Sequence

from jax.sharding import Mesh

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import WritingFormulation
from fsl_jax.formulations.writing.answer_writing import BATCH_PROMPTS, write_answers
from fsl_jax.incontext.answered import Answered


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
          mesh: the mesh, if there are several devices; see `write_answers`.
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
        written = write_answers(
            self.formulation,
            params,
            queries,
            prompts,
            mesh=self._mesh,
            batch_prompts=self._batch_prompts,
            share_prefix=True,
            on_batch=on_batch,
        )
        truncated = sum(prompt.is_cut for prompt in prompts)
        return Answered(written.answers, truncated, cut_answers=written.cut)
