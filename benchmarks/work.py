"""The work that both sides are given: a model, tokens, an order of batches, and hyperparameters."""

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
"""A text with this many characters for each token fills its row: no side gains from padding."""


@dataclasses.dataclass(frozen=True, eq=False)
class Work:
    """What has to be trained.

    Attributes:
      formulation: how tokens become class logits, with the pretrained model.
      method: what is trained.
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
        """T, to which all examples are padded."""
        return self.arrays["input_ids"].shape[1]

    def describe(self) -> str:
        """The work in a few words."""
        size = f"{self.order.shape[1]} × {self.tokens} tokens"
        return f"{self.method.name}, {self.pretrained.name}, {size}"


def make_formulation(pretrained: Pretrained, dataset: Dataset, length: int) -> Formulation:
    """A head on an encoder, and label words after a prompt for a decoder."""
    if not pretrained.config.is_decoder:
        return HeadFormulation(pretrained, dataset.labels, max_length=length)
    words = Verbalizer.from_mapping(dataset.labels)
    return TemplateFormulation(pretrained, dataset.labels, Template(), words, max_length=length)


def make_work(
    pretrained: Pretrained,
    dataset: Dataset,
    method: Method,
    *,
    batch_size: int,
    length: int,
    steps: int,
    learning_rate: float = 5e-4,
    shots: int = SHOTS,
) -> Work:
    """Draws a few-shot split and says what is to be done with it.

    Args:
      pretrained: the base model.
      dataset: where the examples come from; only those that fill `length` tokens are used.
      method: what is trained.
      batch_size: B.
      length: T.
      steps: how many.
      learning_rate: the peak.
      shots: examples per class.

    Returns:
      The work.
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
    return Work(formulation, method, arrays, order, learning_rate, fit_config)
