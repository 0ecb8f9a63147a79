"""The training that both sides do: a model, tokens, batches, hyperparameters."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.data.examples import Dataset
from fsl_jax.data.sampling import batch_order
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.labels import label_indices
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.pool import segment_lengths
from fsl_jax.studies.planning.formulations import make_formulation as formulation_of_study
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.tasks import few_shot_split
from fsl_jax.training.fit_config import FitConfig, longest_dispatch

SHOTS = 16
SEED = 13
CHARACTERS = 8
"""Characters for each token that a text has at least, so that it fills its row without padding."""


@dataclasses.dataclass(frozen=True, eq=False)
class Workload:
    """The same training for both sides.

    Attributes:
      formulation: how tokens become class logits, with the pretrained model.
      method: the method that is trained.
      texts: a description of the texts of a batch.
      tokens: the token ids of each of E examples.
      targets: what is to be predicted, int32: the class of each example `[E]`, or the tag of each
        of its words `[E, W]`.
      learning_rate: the peak, reached after the warm-up.
      fit_config: steps, warm-up and clipping.
      features: what the formulation needs to know of each example, as arrays `[E, ...]`.
    """

    formulation: Formulation
    method: Method
    texts: str
    tokens: Sequence[Sequence[int]]
    targets: np.ndarray
    learning_rate: float
    fit_config: FitConfig
    features: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def pretrained(self) -> Pretrained:
        """The base model."""
        return self.formulation.pretrained

    @property
    def prompt_vectors(self) -> int:
        """The number of vectors that a soft prompt adds to each text."""
        return self.method.length if isinstance(self.method, PromptTuning) else 0

    def order(self, run: int = 0) -> np.ndarray:
        """Draw the examples of each step of a run as a study does, int32 `[steps, B]`.

        Args:
          run: the number of the run. Each has its own batches, as runs with different seeds have.
        """
        config = self.fit_config
        lengths = segment_lengths(self.tokens)
        return batch_order(SEED + run, lengths, config.batch_size, config.steps)

    def describe(self) -> str:
        """Name method, model and batches."""
        return f"{self.method.name}, {self.pretrained.name}, {self.texts}"


def make_formulation(
    pretrained: Pretrained, dataset: Dataset, length: int | None = None
) -> Formulation:
    """Make the formulation that a study would choose for a data set."""
    return formulation_of_study("auto", pretrained, dataset, StudyConfig(max_length=length))


def make_workload(
    pretrained: Pretrained,
    dataset: Dataset,
    method: Method,
    *,
    batch_size: int,
    length: int,
    steps: int,
    learning_rate: float = 5e-4,
    shots: int = SHOTS,
) -> Workload:
    """Draw a few-shot split and define a training on it.

    Args:
      pretrained: the base model.
      dataset: the source of the examples; only those that fill `length` tokens are used.
      method: the method that is trained.
      batch_size: B.
      length: T.
      steps: the number of steps.
      learning_rate: the peak.
      shots: examples per class.

    Returns:
      The workload.
    """
    formulation = make_formulation(pretrained, dataset, length)
    long = tuple(each for each in dataset.train if len(each.text) >= CHARACTERS * length)
    split = few_shot_split(dataclasses.replace(dataset, train=long), shots, SEED)
    tokens = formulation.tokenize(split.train).tokens
    # Cutting a text to fit its prompt can leave a token unused; such a row is left out.
    full = [row for row, ids in enumerate(tokens) if len(ids) == length]
    if len(full) < batch_size:
        raise ValueError(f"too few texts of {dataset.name} fill {length} tokens")
    # One validation, after the last step: what is compared is training.
    fit_config = FitConfig(
        steps, batch_size, evaluate_every=steps, longest_dispatch=longest_dispatch()
    )
    return Workload(
        formulation,
        method,
        f"{batch_size} × {length} tokens",
        [tokens[row] for row in full],
        label_indices(split.train, formulation.labels)[full],
        learning_rate,
        fit_config,
    )
