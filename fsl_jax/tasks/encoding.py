"""Encode examples as a pool of tokens."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.packing.pool import Pool, make_pool
from fsl_jax.tasks.formulation import Formulation


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """Examples as tokens.

    Attributes:
      pool: the E examples, as NumPy arrays.
      truncated: the number of texts that were cut because they were too long for the model.
    """

    pool: Pool
    truncated: int


def encode(formulation: Formulation, examples: Sequence[Example], params: Params) -> Encoded:
    """Encode examples as a pool.

    Args:
      formulation: turns an example into tokens.
      examples: E examples.
      params: the parameters that will read them, of which only shapes are read: a soft prompt adds
        tokens to each example.

    Returns:
      The pool.
    """
    tokens, truncated = formulation.tokenize(examples)
    segments = formulation.segments(params, tokens)
    return Encoded(make_pool(segments, label_indices(examples, formulation.labels)), truncated)


def label_indices(examples: Sequence[Example], labels: tuple[str, ...]) -> np.ndarray:
    """Return the labels of examples as indices into `labels`, int32 `[E]`."""
    index = {label: position for position, label in enumerate(labels)}
    return np.array([index[example.label] for example in examples], np.int32)
