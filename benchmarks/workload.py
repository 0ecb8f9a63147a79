"""The training that both sides do: a model, tokens, an order of batches, hyperparameters."""

import dataclasses

import numpy as np

from fsl_jax.adapt.methods.method import Method
from fsl_jax.data.examples import Dataset
from fsl_jax.data.sampling import batch_order
from fsl_jax.data.splits import few_shot_split
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.tasks.encoding import encode
from fsl_jax.tasks.formulation import Formulation
from fsl_jax.tasks.head import HeadFormulation
from fsl_jax.tasks.template import Template
from fsl_jax.tasks.template_formulation import TemplateFormulation
from fsl_jax.tasks.verbalizer import Verbalizer
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
      arrays: `input_ids` `[E, T]`, `attention_mask` `[E, T]` and `label` `[E]` of the examples.
      order: the examples of each step, int32 `[steps, B]`.
      learning_rate: the peak, reached after the warm-up.
      fit_config: steps, warm-up and clipping.
    """

    formulation: Formulation
    method: Method
    arrays: dict[str, np.ndarray]
    order: np.ndarray
    learning_rate: float
    fit_config: FitConfig

    @property
    def pretrained(self) -> Pretrained:
        """The base model."""
        return self.formulation.pretrained

    @property
    def tokens(self) -> int:
        """T, the length that all examples are padded to."""
        return self.arrays["input_ids"].shape[1]

    def describe(self) -> str:
        """Name method, model and size of a batch."""
        size = f"{self.order.shape[1]} × {self.tokens} tokens"
        return f"{self.method.name}, {self.pretrained.name}, {size}"


def make_formulation(pretrained: Pretrained, dataset: Dataset, length: int) -> Formulation:
    """Make a head on an encoder, or label words after a prompt for a decoder."""
    if not pretrained.config.is_decoder:
        return HeadFormulation(pretrained, dataset.labels, max_length=length)
    words = Verbalizer.from_mapping(dataset.labels)
    return TemplateFormulation(pretrained, dataset.labels, Template(), words, max_length=length)


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
    arrays = encode(formulation, split.train).arrays
    # Cutting a text to fit its prompt can leave a token unused; such a row is left out.
    full = arrays["attention_mask"].all(axis=1)
    arrays = {name: array[full] for name, array in arrays.items()}
    if full.sum() < batch_size or arrays["input_ids"].shape[1] != length:
        raise ValueError(f"too few texts of {dataset.name} fill {length} tokens")
    order = batch_order(SEED, len(arrays["label"]), batch_size, steps)
    # One validation, after the last step: what is compared is training.
    fit_config = FitConfig(
        steps, batch_size, evaluate_every=steps, longest_dispatch=longest_dispatch()
    )
    return Workload(formulation, method, arrays, order, learning_rate, fit_config)
