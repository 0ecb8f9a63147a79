"""Fit the examples of many batches into rows at once."""

import numpy as np
from jaxtyping import Bool, Int32

from fsl_jax.packing.placements import RowShape

# In simulations with real texts, nearly all batches that fit at all fit after 16 attempts. Where
# batches have many examples, short ones fill the gaps, and one attempt more is enough.
_ATTEMPTS = 20
_FEW_EXAMPLES = 32


def fit(
    lengths: Int32[np.ndarray, "S B"], shape: RowShape
) -> tuple[Int32[np.ndarray, "S B"], Bool[np.ndarray, " S"]]:
    """Fit the examples of each batch into rows of one shape.

    The longest examples come first, and each goes into the first row that has room. A batch for
    which that fails is tried again: with the emptiest row, which spreads the examples evenly where
    slots are few, and then, if its examples are few, in other orders, the same in each call.

    Args:
      lengths: the number of tokens of each example; 0 for one that only fills up its batch.
      shape: the shape of the rows.

    Returns:
      The place of each example's first token, and which batches fit. The places of a batch that
      does not fit mean nothing.

    Raises:
      ValueError: an example is longer than a row.
    """
    if lengths.max(initial=0) > shape.length:
        raise ValueError(
            f"an example of {lengths.max()} tokens does not fit into rows of {shape.length}"
        )
    starts, fits = _fit(lengths, _longest_first(lengths), shape)
    generator = np.random.Generator(np.random.PCG64(0))
    for attempt in range(_ATTEMPTS if lengths.shape[1] <= _FEW_EXAMPLES else 1):
        rest = np.flatnonzero(~fits)
        if not len(rest):
            break
        others = lengths[rest]
        disturbed = others * generator.uniform(0.5, 1.5, others.shape) if attempt else others
        starts[rest], fits[rest] = _fit(others, _longest_first(disturbed), shape, not attempt)
    return starts, fits


def largest_count(
    lengths: Int32[np.ndarray, "S B"], starts: Int32[np.ndarray, "S B"], shape: RowShape
) -> int:
    """Return the largest number of examples in a row.

    Args:
      lengths: as for `fit`.
      starts: the places that `fit` returned.
      shape: the shape of the rows.

    Returns:
      The number of slots that the rows need, at least 1.
    """
    row = np.arange(len(lengths))[:, None] * shape.rows + starts // shape.length
    return int(np.bincount(row[lengths > 0], minlength=1).max(initial=1))


def _longest_first(lengths: np.ndarray) -> np.ndarray:
    return np.argsort(-lengths, axis=1, kind="stable")


def _fit(
    lengths: np.ndarray, order: np.ndarray, shape: RowShape, emptiest: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Put the examples of each batch, in an order, into the first or the emptiest row with room."""
    batch = np.arange(len(lengths))
    used = np.zeros((len(lengths), shape.rows), np.int32)
    count = np.zeros_like(used)
    starts = np.zeros_like(lengths)
    fits = np.ones(len(lengths), np.bool_)
    for example in order.T:
        size = lengths[batch, example]
        has_room = (used + size[:, None] <= shape.length) & (count < shape.slots)
        if emptiest:
            row = np.where(has_room, used, shape.length + 1).argmin(axis=1)
        else:
            row = has_room.argmax(axis=1)
        fits &= has_room[batch, row] | (size == 0)
        starts[batch, example] = np.where(size > 0, row * shape.length + used[batch, row], 0)
        used[batch, row] += size
        count[batch, row] += size > 0
    return starts, fits
