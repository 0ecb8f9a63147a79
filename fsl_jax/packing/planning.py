"""Place the examples of the steps and of the validation of a program's runs in packed rows."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from fsl_jax.packing.dealing import deal, even_counts
from fsl_jax.packing.fitting import fit, largest_count
from fsl_jax.packing.placements import Placements, RowShape
from fsl_jax.packing.shapes import cost, row_shape


def place_steps(
    lengths: Int32[np.ndarray, " E"],
    examples: Int32[np.ndarray, "N S B"],
    multiple: int = 1,
    slot_width: int = 0,
) -> Placements:
    """Place the examples of all steps of all runs in rows of one shape, the cheapest.

    Args:
      lengths: the number of tokens of each example of the pool, at least 1.
      examples: the examples of each step of each run.
      multiple: a number that divides the number of rows, such as the size of a mesh axis.
      slot_width: W, the number of tokens in each slot; 0 if there are none.

    Returns:
      The placements `[N, S, B]`, all of weight 1.
    """
    return _place(examples, lengths[examples], multiple, slot_width)


def place_chunks(
    lengths: Int32[np.ndarray, " E"],
    examples: Sequence[Int32[np.ndarray, " _"]],
    tokens: int = 1024,
    multiple: int = 1,
    slot_width: int = 0,
) -> Placements:
    """Place the examples of each run in a few chunks, which share one shape of rows, the cheapest.

    The chunks of a run have about as many tokens, and all runs have as many chunks as the one with
    the most tokens needs, or a few more where that is cheaper.

    Args:
      lengths: the number of tokens of each example of the pool, at least 1.
      examples: the examples of each of N runs, of any number, but at least one in all.
      tokens: about the most tokens of a chunk.
      multiple: as for `place_steps`.
      slot_width: as for `place_steps`.

    Returns:
      The placements `[N, C, B]` of C chunks of B examples. A chunk with fewer examples is filled up
      with examples of weight 0.
    """
    most = max(len(each) for each in examples)
    # A column more than any run has examples: what fills up a chunk.
    padded, sizes = np.zeros((2, len(examples), most + 1), np.int32)
    for number, each in enumerate(examples):
        padded[number, : len(each)] = each
        sizes[number, : len(each)] = lengths[each]
    run = np.arange(len(examples))[:, None, None]
    placed = []
    for chunks in set(even_counts(int(sizes.sum(axis=1).max()), most, tokens)):
        dealt, dealt_sizes = deal(sizes[:, :most], chunks)
        placed.append(_place(padded[run, dealt], dealt_sizes, multiple, slot_width))
    return min(placed, key=lambda each: each.examples.shape[1] * cost(each.shape, slot_width))


def _place(examples: np.ndarray, sizes: np.ndarray, multiple: int, slot_width: int) -> Placements:
    """Place batches `[N, S, B]` of examples, whose size is 0 if they only fill up a batch."""
    # Runs of one seed that differ in a hyperparameter have the same batches.
    flat = sizes.reshape(len(sizes), -1)
    _, first, run = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    batches = sizes[first].reshape(-1, sizes.shape[-1])
    shape = row_shape(batches, multiple, slot_width)
    starts, _ = fit(batches, shape)
    if not slot_width:
        shape = RowShape(shape.rows, shape.length, largest_count(batches, starts, shape))
    starts = starts.reshape(len(first), *sizes.shape[1:])[run.reshape(-1)]
    return Placements(examples, starts, (sizes > 0).astype(np.float32), shape)
