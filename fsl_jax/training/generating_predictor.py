"""Let many models write answers to the same examples."""

import functools
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.tree import Params
from fsl_jax.compilation import jit
from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import WritingFormulation
from fsl_jax.formulations.writing.answer_writing import BATCH_PROMPTS, write_answers
from fsl_jax.packing.windows import WINDOW
from fsl_jax.training.adapted_models import AdaptedModels, join_leaves
from fsl_jax.training.predicted import Predicted


class GeneratingPredictor:
    """Lets N adapted models write answers to the same examples, one model after the other.

    All models share the compiled programs. Each takes the likeliest token at each step.
    """

    def __init__(
        self,
        formulation: WritingFormulation,
        models: AdaptedModels,
        mesh: Mesh | None = None,
        batch_prompts: int = BATCH_PROMPTS,
    ):
        """Make a predictor.

        Args:
          formulation: says how the models are asked.
          models: the models.
          mesh: the mesh, if there are several devices; see `write_answers`.
          batch_prompts: the number of prompts that are continued at a time.
        """
        self._formulation = formulation
        self._models = models
        self._mesh = mesh
        self._batch_prompts = batch_prompts
        self._join = jit(functools.partial(join_leaves, models.method))

    def predict(self, examples: Sequence[Example]) -> Predicted:
        """Let all models write their answers.

        Args:
          examples: E examples, whose answers are not read.

        Returns:
          The answers, in the order of the examples; `outputs` are the texts that were written.
        """
        prompts = self._formulation.prompts(examples)
        written = [
            write_answers(
                self._formulation,
                self._params(number),
                examples,
                prompts,
                mesh=self._mesh,
                batch_prompts=self._batch_prompts,
            )
            for number in range(self._models.count)
        ]
        texts = np.array([each.texts for each in written], object)
        texts = texts.reshape(self._models.count, len(prompts))
        return Predicted(
            [each.answers for each in written],
            [texts[:, first : first + WINDOW] for first in range(0, len(prompts), WINDOW)],
            sum(prompt.is_cut for prompt in prompts),
            [each.cut for each in written],
        )

    def _params(self, number: int) -> Params:
        """Return the parameters of one model."""
        models = self._models
        own = jax.tree.map(lambda leaf: leaf[number], (models.trainable, models.frozen_leaves))
        params: Params = self._join(*own, models.shared)
        return params
