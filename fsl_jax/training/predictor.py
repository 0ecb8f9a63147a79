"""Predict class logits of many runs for the same examples."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.partition import combine
from fsl_jax.adapt.tree import Params
from fsl_jax.compilation import jit
from fsl_jax.data.examples import Example
from fsl_jax.packing.batch import Batch
from fsl_jax.packing.pool import segment_lengths
from fsl_jax.packing.rows import fill_rows, place_rows
from fsl_jax.packing.windows import BATCH_TOKENS, WINDOW, Packer
from fsl_jax.processes import to_host
from fsl_jax.sharding import device_rows
from fsl_jax.tasks.formulation import Formulation
from fsl_jax.training.stacked_runs import adapted_shapes


@dataclasses.dataclass(frozen=True, eq=False)
class Predicted:
    """The predictions of N models for E examples in C classes.

    Attributes:
      logits: float32 `[N, E, C]`.
      truncated: the number of texts that were cut to the formulation's limit.
    """

    logits: np.ndarray
    truncated: int


class Predictor:
    """Predicts class logits with N adapted models for the same examples.

    The part of the model below the lowest trainable leaf is computed once for all runs, since
    neither the examples nor the frozen base are mapped over the runs. What is compiled for one call
    serves the next ones.
    """

    def __init__(
        self,
        formulation: Formulation,
        method: Method,
        trainable: Params,
        frozen_leaves: Params,
        shared: Params,
        mesh: Mesh | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ):
        """Take the parameters of the models.

        Args:
          formulation: turns examples into tokens and class logits.
          method: the method of any of the runs.
          trainable: trainable leaves `[N, ...]`.
          frozen_leaves: frozen leaves that differ between runs, `[N, ...]`.
          shared: the frozen base.
          mesh: the mesh, if there are several devices.
          batch_tokens: about the number of tokens that each model reads at a time.
        """
        self._formulation = formulation
        self._params = (trainable, frozen_leaves, shared)
        self._runs = jax.tree.leaves(trainable)[0].shape[0]
        self._mesh = mesh
        self._shapes = adapted_shapes(method, trainable, frozen_leaves, shared)
        self._packer = Packer(batch_tokens, device_rows(mesh), formulation.slot_width(self._shapes))
        self._logits = _compiled_logits(formulation, method)

    def predict(self, examples: Sequence[Example]) -> Predicted:
        """Predict the class logits of all models.

        Args:
          examples: E examples.

        Returns:
          The class logits, in the order of the examples, and the number of texts that were cut.
        """
        formulation = self._formulation
        result = np.zeros((self._runs, len(examples), len(formulation.labels)), np.float32)
        truncated = 0
        for first in range(0, len(examples), WINDOW):
            tokens, cut = formulation.tokenize(examples[first : first + WINDOW])
            truncated += cut
            segments = formulation.segments(self._shapes, tokens)
            for placements in self._packer.pack(segment_lengths(segments)):
                batch = place_rows(fill_rows(segments, placements), self._mesh)
                predicted = to_host(self._logits(*self._params, batch))
                counts = placements.weight > 0
                result[:, first + placements.examples[counts]] = predicted[:, counts]
        return Predicted(result, truncated)


def _compiled_logits(formulation: Formulation, method: Method) -> Callable[..., jax.Array]:
    """Return a compiled function of the three parameter trees and a batch: logits `[N, B, C]`."""

    def logits(trainable: Params, frozen_leaves: Params, shared: Params, batch: Batch) -> jax.Array:
        def of_run(trainable: Params, frozen_leaves: Params) -> jax.Array:
            params = method.reparametrize(combine(trainable, frozen_leaves, shared))
            return formulation.logits(params, batch)

        return jax.vmap(of_run)(trainable, frozen_leaves)

    return jit(logits)
