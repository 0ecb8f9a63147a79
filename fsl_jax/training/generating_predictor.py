"""Let many runs write answers to the same examples."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.partition import combine
from fsl_jax.adapt.tree import Params
from fsl_jax.compilation import jit
from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import WritingFormulation
from fsl_jax.formulations.prompts import Prompt
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.models.generation.generate import generate
from fsl_jax.packing.windows import WINDOW
from fsl_jax.processes import to_host
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
        method: Method,
        trainable: Params,
        frozen_leaves: Params,
        shared: Params,
        mesh: Mesh | None = None,
        batch_prompts: int = BATCH_PROMPTS,
    ):
        """Take the parameters of the models.

        Args:
          formulation: says how the models are asked.
          method: the method of any of the runs.
          trainable: trainable leaves `[N, ...]`.
          frozen_leaves: frozen leaves that differ between runs, `[N, ...]`.
          shared: the frozen base.
          mesh: the mesh, if there are several devices. Each process then writes all answers on its
            first device, since the tokens of a batch are few.
          batch_prompts: the number of prompts that are continued at a time.
        """
        self._formulation = formulation
        self._own = trainable, frozen_leaves
        self._shared = shared
        self._runs = jax.tree.leaves(trainable)[0].shape[0]
        self._mesh = mesh
        self._batch_prompts = batch_prompts
        self._adapt = jit(functools.partial(_adapted, method))

    def predict(self, examples: Sequence[Example]) -> Predicted:
        """Let all models write their answers.

        Args:
          examples: E examples, whose answers are not read.

        Returns:
          The answers, in the order of the examples; `outputs` are the texts that were written.
        """
        prompts = self._formulation.prompts(examples)
        tokenized = Tokenized([prompt.ids for prompt in prompts], sum(p.is_cut for p in prompts))
        texts = [self._write(run, prompts) for run in range(self._runs)]
        answers = [list(self._formulation.decode(each, examples, tokenized)) for each in texts]
        written = np.array(texts, object).reshape(self._runs, len(prompts))
        windows = [written[:, first : first + WINDOW] for first in range(0, len(prompts), WINDOW)]
        return Predicted(answers, windows, tokenized.truncated)

    def _write(self, run: int, prompts: Sequence[Prompt]) -> list[str]:
        """Return the text that one model writes after each prompt."""
        if not prompts:
            return []
        own = jax.tree.map(lambda leaf: leaf[run], self._own)
        continuations = generate(
            self._formulation.pretrained,
            [prompt.text for prompt in prompts],
            params=self._placed(self._adapt(*own, self._shared)),
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


def _adapted(method: Method, trainable: Params, frozen_leaves: Params, shared: Params) -> Params:
    return method.reparametrize(combine(trainable, frozen_leaves, shared))
