"""Choose the shape of rows that all steps of a program share."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int32

from fsl_jax.packing.fitting import fit
from fsl_jax.packing.placements import RowShape
from fsl_jax.packing.rounding import divide_up, round_up

# Rows have a multiple of this number of tokens.
_STEP = 8

# The most tokens of a row, unless an example has nearly as many or more.
_LONGEST = 128

# Attention over a row of this many tokens costs about as much as all else in a layer: measured for
# steps of minilm-l6 on a CPU, whose gradients of 512 tokens took 465 ms in rows of 64, 499 ms in
# rows of 128, 544 ms in rows of 256 and 758 ms in one row. For wider models it is more.
_ATTENTION = 768

# Most shapes that do not fit fail with the batches that have the most tokens.
_TRIED_FIRST = 256


def row_shape(
    lengths: Int32[np.ndarray, "S B"],
    multiple: int = 1,
    slot_width: int = 0,
    shortest_row: int = 1,
) -> RowShape:
    """Return the cheapest shape of rows into which each of some batches fits.

    Args:
      lengths: the number of tokens of each example; 0 for one that only fills up its batch.
      multiple: a number that divides the number of rows, such as the size of a mesh axis.
      slot_width: W, the number of tokens in each slot. If it is above 0, slots cost as much as
        other tokens, so few examples a row can be cheaper.
      shortest_row: the smallest number of tokens of a row.

    Returns:
      The shape. Without slots to pay for, a row may have as many examples as a batch.
    """
    shapes = [
        shape
        for length in _row_lengths(int(lengths.max(initial=shortest_row)))
        for shape in _shapes(lengths, length, multiple, has_slots=slot_width > 0)
    ]
    shapes.sort(key=lambda shape: cost(shape, slot_width))
    hardest = lengths[np.argsort(-lengths.sum(axis=1), kind="stable")]
    return next(
        shape
        for shape in shapes
        if fit(hardest[:_TRIED_FIRST], shape)[1].all() and fit(hardest, shape)[1].all()
    )


def cost(shape: RowShape, slot_width: int = 0) -> float:
    """Return the cost of a step with rows of a shape, in tokens of a very short row.

    Args:
      shape: the shape of the rows.
      slot_width: W, the number of tokens in each slot; 0 if there are none.

    Returns:
      The cost, with that of attention.
    """
    in_slots = shape.slots * slot_width
    in_row = shape.length * (1 + shape.length / _ATTENTION)
    return shape.rows * (in_row + in_slots * (1 + (shape.length + in_slots) / _ATTENTION))


def _row_lengths(longest: int) -> range:
    """Return the lengths of rows to try, about 16 at most."""
    shortest = round_up(longest, _STEP)
    last = max(shortest + shortest // 2, _LONGEST)
    return range(shortest, last + 1, round_up(last // 32, _STEP))


def _shapes(
    lengths: np.ndarray, row_length: int, multiple: int, has_slots: bool
) -> Iterator[RowShape]:
    """Yield the shapes that have enough places and slots in all; into the last ones all fits."""
    most = int(np.count_nonzero(lengths, axis=1).max(initial=1))
    tokens = int(lengths.sum(axis=1).max(initial=1))
    fewest = round_up(divide_up(tokens, row_length), multiple)
    for rows in range(fewest, max(fewest, round_up(most, multiple)) + 1, multiple):
        fewest_slots = divide_up(most, rows)
        some = range(fewest_slots, min(3 * fewest_slots, most), max(fewest_slots // 4, 1))
        for slots in (*some, most) if has_slots else (most,):
            yield RowShape(rows, row_length, slots)
