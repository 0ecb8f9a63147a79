"""Labels as indices, and back."""

from collections.abc import Sequence

import numpy as np

from fsl_jax.data.examples import Example


def label_indices(examples: Sequence[Example], labels: tuple[str, ...]) -> np.ndarray:
    """Return the labels of examples as indices into `labels`, int32 `[E]`."""
    index = {label: position for position, label in enumerate(labels)}
    return np.array([index[example.answer] for example in examples], np.int32)


def most_probable(logits: np.ndarray, labels: tuple[str, ...]) -> list[str]:
    """Return the label with the largest logit of each row of `[E, C]`."""
    return [labels[index] for index in logits.argmax(axis=-1)]
