"""Choose the shapes of batches for examples of any length."""

import dataclasses

import numpy as np
from jaxtyping import Int32

from fsl_jax.packing.dealing import deal, even_counts
from fsl_jax.packing.placements import RowShape
from fsl_jax.packing.rounding import round_up
from fsl_jax.packing.shapes import cost, row_shape

# A program for one more shape takes about as long to compile as this number of batches to compute.
_COMPILATION = 8

# Rows have at least so many tokens. In shorter ones, attention costs hardly less.
_SHORTEST_ROW = 64

# Room for more examples a batch: those of later windows may be shorter.
_SPARE_EXAMPLES = 1.25


@dataclasses.dataclass(frozen=True)
class BatchShape:
    """The shape of a batch, for which a program is compiled.

    Attributes:
      rows: the shape of its rows.
      examples: B, the number of its examples.
      longest: the most tokens of an example that belongs to it, at most those of a row.
    """

    rows: RowShape
    examples: int
    longest: int


def choose_shapes(
    lengths: Int32[np.ndarray, " E"], tokens: int, multiple: int = 1, slot_width: int = 0
) -> list[BatchShape]:
    """Return the shapes with which examples cost least, that of compiling included.

    Each example belongs to the first shape whose `longest` is at least its number of tokens.

    Args:
      lengths: the number of tokens of each example, at least one example.
      tokens: about the number of tokens of a batch.
      multiple: a number that divides the numbers of rows and of examples of each batch.
      slot_width: W, the number of tokens in each slot; 0 if there are none.

    Returns:
      The shapes, those for the shortest examples first.
    """
    longest = int(lengths.max())
    # Powers of two divide the examples into groups, of which neighbours may share a shape.
    bounds = [0, *(length for length in _powers_of_two(longest) if length < longest), longest]
    cheapest: list[tuple[float, list[BatchShape]]] = [(0.0, [])]
    for last in range(1, len(bounds)):
        options = []
        for first, (before, shapes) in enumerate(cheapest):
            group = lengths[(lengths > bounds[first]) & (lengths <= bounds[last])]
            if len(group):
                more, shape = _cheapest_shape(group, tokens, multiple, slot_width)
                if bounds[last] < longest:
                    # Rows may be much longer, and examples that long have a shape of their own.
                    shape = dataclasses.replace(shape, longest=min(bounds[last], shape.longest))
                options.append((before + more, [*shapes, shape]))
            else:
                options.append((before, shapes))
        cheapest.append(min(options, key=lambda option: option[0]))
    return cheapest[-1][1]


def _powers_of_two(longest: int) -> list[int]:
    return [2**power for power in range(7, longest.bit_length())]


def _cheapest_shape(
    lengths: np.ndarray, tokens: int, multiple: int, slot_width: int
) -> tuple[float, BatchShape]:
    """Return the cost of examples that share a shape, and the shape."""
    longest = max(int(lengths.max()), _SHORTEST_ROW)
    # With few row lengths, the longest example of the next window is likely to fit too.
    shortest_row = round_up(longest, 2 ** (longest.bit_length() - 1) // 4)
    options = []
    for batches in even_counts(int(lengths.sum()), len(lengths), tokens):
        sizes = deal(lengths[None], batches)[1][0]
        rows = row_shape(sizes, multiple, slot_width, shortest_row)
        total = batches * cost(rows, slot_width) + _COMPILATION * tokens
        options.append((total, _with_examples(rows, sizes.shape[1], multiple, slot_width)))
    return min(options, key=lambda option: option[0])


def _with_examples(rows: RowShape, most: int, multiple: int, slot_width: int) -> BatchShape:
    """Return the shape of a batch with room for somewhat more examples than some have."""
    examples = round_up(int(most * _SPARE_EXAMPLES), multiple)
    if slot_width:
        return BatchShape(rows, min(examples, rows.rows * rows.slots), rows.length)
    return BatchShape(dataclasses.replace(rows, slots=examples), examples, rows.length)
