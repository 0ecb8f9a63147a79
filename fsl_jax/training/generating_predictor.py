"""Let many models write answers to the same examples."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.tree import Params
from fsl_jax.compilation import jit
from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import WritingFormulation
from fsl_jax.formulations.prompts import Prompt
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.models.generation.generate import generate
from fsl_jax.packing.windows import WINDOW
from fsl_jax.processes import to_host
from fsl_jax.training.adapted_models import AdaptedModels, join_leaves
from fsl_jax.training.predicted import Predicted

BATCH_PROMPTS = 16
"""The number of prompts that are continued at a time."""


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
          mesh: the mesh, if there are several devices. Each process then writes all answers on its
            first device, since the tokens of a batch are few.
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
        tokenized = Tokenized([prompt.ids for prompt in prompts], sum(p.is_cut for p in prompts))
        texts = [self._write(number, prompts) for number in range(self._models.count)]
        answers = [list(self._formulation.decode(each, examples, tokenized)) for each in texts]
        written = np.array(texts, object).reshape(self._models.count, len(prompts))
        windows = [written[:, first : first + WINDOW] for first in range(0, len(prompts), WINDOW)]
        return Predicted(answers, windows, tokenized.truncated)

    def _write(self, number: int, prompts: Sequence[Prompt]) -> list[str]:
        """Return the text that one model writes after each prompt."""
        if not prompts:
            return []
        models = self._models
        own = jax.tree.map(lambda leaf: leaf[number], (models.trainable, models.frozen_leaves))
        continuations = generate(
            self._formulation.pretrained,
            [prompt.text for prompt in prompts],
            params=self._placed(self._join(*own, models.shared)),
            max_new_tokens=self._formulation.max_answer,
            stop=self._formulation.stop,
            skip_blank=True,
            batch_size=self._batch_prompts,
        )
        return [best.text for best, *_ in continuations]

    def _placed(self, params: Any) -> Params:
        """Return parameters on one device of this process."""
        if self._mesh is None:
            return params
        return jax.device_put(to_host(params), jax.local_devices()[0])
