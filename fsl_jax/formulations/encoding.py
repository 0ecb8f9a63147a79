"""Encode examples as a pool of tokens."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.packing.pool import Pool, make_pool


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
    """Encode examples and their answers as a pool.

    Args:
      formulation: turns an example into tokens.
      examples: E examples.
      params: the parameters that will read them, of which only shapes are read: a soft prompt adds
        tokens to each example.

    Returns:
      The pool.
    """
    tokenized = formulation.tokenize(examples, answered=True)
    found = formulation.segments(params, tokenized.tokens)
    places, width = tokenized.places, tokenized.width
    segments: list[Sequence[int]] = [()] * (len(examples) * width)
    for place, segment in zip(places, found, strict=True):
        segments[place] = segment
    features = {
        name: _spread(rows, places, len(segments)) for name, rows in tokenized.features.items()
    }
    targets = formulation.targets(examples, tokenized)
    return Encoded(make_pool(segments, targets, features, width), tokenized.truncated)


def _spread(rows: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Return rows at their places, and zeros where there are none."""
    spread = np.zeros((count, *rows.shape[1:]), rows.dtype)
    spread[places] = rows
    return spread
