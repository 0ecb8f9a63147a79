"""Prediction by this project."""

import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.compile_clock import CompileClock
from benchmarks.project_training import ProjectTraining
from benchmarks.workload import Workload
from fsl_jax.data.examples import Example
from fsl_jax.packing.padding import Padding, padding
from fsl_jax.packing.windows import WINDOW, Packer
from fsl_jax.training.predictor import Predictor


class ProjectPrediction:
    """The prediction of texts by an adapted model.

    Attributes:
      logits: the class logits of the last call, float32 `[E, C]`.
      compile_seconds: how long each call so far compiled.
    """

    logits: np.ndarray

    def __init__(self, work: Workload, training: ProjectTraining, examples: Sequence[Example]):
        """Take the parameters of a training.

        Args:
          work: the workload of the training.
          training: a training of one run, after its steps.
          examples: E examples to predict.
        """
        models = dataclasses.replace(training.stack.models, trainable=training.trained())
        self._predictor = Predictor(work.formulation, models)
        self._examples = examples
        self.compile_seconds: list[float] = []

    def __call__(self) -> float:
        """Predict all texts, and return the seconds without compiling."""
        start = time.perf_counter()
        with CompileClock() as clock:
            predicted = self._predictor.predict(self._examples)
        seconds = time.perf_counter() - start
        self.logits = predicted.outputs[0]
        self.compile_seconds.append(clock.seconds)
        return seconds - clock.seconds


def packed_tokens(lengths: Sequence[int]) -> Padding:
    """Count the tokens of texts that are packed as `Predictor` packs them.

    Args:
      lengths: the tokens of each text.

    Returns:
      The tokens that are computed, and those of the texts.
    """
    packer = Packer()
    windows = np.split(np.array(lengths, np.int32), range(WINDOW, len(lengths), WINDOW))
    counts = [padding(window, *packer.pack(window)) for window in windows]
    return Padding(sum(each.computed for each in counts), sum(each.real for each in counts))
