"""Predict the answers of many models to the same examples."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.tree import Params
from fsl_jax.compilation import jit
from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.packing.batch import Batch
from fsl_jax.packing.pool import segment_lengths
from fsl_jax.packing.rows import fill_rows, place_rows
from fsl_jax.packing.windows import BATCH_TOKENS, WINDOW, Packer
from fsl_jax.processes import to_host
from fsl_jax.sharding import device_rows
from fsl_jax.training.adapted_models import AdaptedModels, join_leaves
from fsl_jax.training.predicted import Predicted


class Predictor:
    """Predicts the answers of N adapted models to the same examples.

    The part of the model below the lowest trainable leaf is computed once for all models, since
    neither the examples nor the frozen base are mapped over them. What is compiled for one call
    serves the next ones.
    """

    def __init__(
        self,
        formulation: Formulation,
        models: AdaptedModels,
        mesh: Mesh | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ):
        """Make a predictor.

        Args:
          formulation: says how the models are asked.
          models: the models.
          mesh: the mesh, if there are several devices.
          batch_tokens: about the number of tokens that each model reads at a time.
        """
        self._formulation = formulation
        self._models = models
        self._mesh = mesh
        self._shapes = models.shapes
        self._packer = Packer(batch_tokens, device_rows(mesh), formulation.slot_width(self._shapes))
        self._outputs = _compiled_outputs(formulation, models.method)

    def predict(self, examples: Sequence[Example]) -> Predicted:
        """Predict the answers of all models.

        Args:
          examples: E examples, whose answers are not read.

        Returns:
          The answers, in the order of the examples, with the outputs that they are read from.
        """
        answers: list[list[Any]] = [[] for _ in range(self._models.count)]
        windows, truncated = [], 0
        for first in range(0, len(examples), WINDOW):
            window = examples[first : first + WINDOW]
            tokenized = self._formulation.tokenize(window)
            outputs = self._read(tokenized)
            for number, found in enumerate(answers):
                of_model = jax.tree.map(operator.itemgetter(number), outputs)
                found += self._formulation.decode(of_model, window, tokenized)
            windows.append(outputs)
            truncated += tokenized.truncated
        return Predicted(answers, windows, truncated, [0] * self._models.count)

    def _read(self, tokenized: Tokenized) -> Any:
        """Return the outputs of all models for all segments, `[N, S, ...]`."""
        segments = self._formulation.segments(self._shapes, tokenized.tokens)
        models = self._models
        params = models.trainable, models.frozen_leaves, models.shared
        numbers, read = [], []
        for placements in self._packer.pack(segment_lengths(segments)):
            batch = place_rows(fill_rows(segments, placements, tokenized.features), self._mesh)
            outputs = to_host(self._outputs(*params, batch))
            counts = placements.weight > 0
            numbers.append(placements.examples[counts])
            read.append(jax.tree.map(lambda leaf, counts=counts: leaf[:, counts], outputs))
        order = np.argsort(np.concatenate(numbers))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1)[:, order], *read)


def _compiled_outputs(formulation: Formulation, method: Method) -> Callable[..., Any]:
    """Return a compiled function of the three parameter trees and a batch, `[N, S, ...]`."""

    def outputs(trainable: Params, frozen_leaves: Params, shared: Params, batch: Batch) -> Any:
        def of_model(trainable: Params, frozen_leaves: Params) -> Any:
            params = join_leaves(method, trainable, frozen_leaves, shared)
            return formulation.outputs(params, batch)

        return jax.vmap(of_model)(trainable, frozen_leaves)

    return jit(outputs)
