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
    width: int = 1,
) -> Placements:
    """Place the examples of all steps of all runs in rows of one shape, the cheapest.

    Args:
      lengths: the number of tokens of each segment of the pool; each example has some.
      examples: the examples of each step of each run.
      multiple: a number that divides the number of rows, such as the size of a mesh axis.
      slot_width: the number of tokens in each slot; 0 if there are none.
      width: W, the number of segments of each example.

    Returns:
      The placements `[N, S, B]`, all of weight 1.
    """
    by_example = lengths.reshape(-1, width)
    return _place(examples, by_example[examples], multiple, slot_width)


def place_chunks(
    lengths: Int32[np.ndarray, " E"],
    examples: Sequence[Int32[np.ndarray, " _"]],
    tokens: int = 1024,
    multiple: int = 1,
    slot_width: int = 0,
    width: int = 1,
) -> Placements:
    """Place the examples of each run in a few chunks, which share one shape of rows, the cheapest.

    The chunks of a run have about as many tokens, and all runs have as many chunks as the one with
    the most tokens needs, or a few more where that is cheaper.

    Args:
      lengths: as for `place_steps`.
      examples: the examples of each of N runs, of any number, but at least one in all.
      tokens: about the most tokens of a chunk.
      multiple: as for `place_steps`.
      slot_width: as for `place_steps`.
      width: as for `place_steps`.

    Returns:
      The placements `[N, C, B]` of C chunks of B examples. A chunk with fewer examples is filled up
      with examples of weight 0.
    """
    most = max(len(each) for each in examples)
    # A column more than any run has examples: what fills up a chunk.
    padded = np.zeros((len(examples), most + 1), np.int32)
    sizes = np.zeros((*padded.shape, width), np.int32)
    for number, each in enumerate(examples):
        padded[number, : len(each)] = each
        sizes[number, : len(each)] = lengths.reshape(-1, width)[each]
    of_examples = sizes.sum(axis=2, dtype=np.int32)
    run = np.arange(len(examples))[:, None, None]
    placed = []
    for chunks in set(even_counts(int(of_examples.sum(axis=1).max()), most, tokens)):
        dealt, _ = deal(of_examples[:, :most], chunks)
        placed.append(_place(padded[run, dealt], sizes[run, dealt], multiple, slot_width))
    return min(placed, key=lambda each: each.examples.shape[1] * cost(each.shape, slot_width))


def _place(examples: np.ndarray, sizes: np.ndarray, multiple: int, slot_width: int) -> Placements:
    """Place batches `[N, S, B]` of examples.

    Args:
      examples: the numbers of the examples.
      sizes: the tokens of their segments, `[N, S, B, W]`; all 0 for one that fills up a batch.
      multiple: as for `place_steps`.
      slot_width: as for `place_steps`.

    Returns:
      The placements.
    """
    # Runs of one seed that differ in a hyperparameter have the same batches.
    flat = sizes.reshape(len(sizes), -1)
    _, first, run = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    batches = sizes[first].reshape(-1, sizes.shape[2] * sizes.shape[3])
    shape = row_shape(batches, multiple, slot_width)
    starts, _ = fit(batches, shape)
    if not slot_width:
        shape = RowShape(shape.rows, shape.length, largest_count(batches, starts, shape))
    starts = starts.reshape(len(first), sizes.shape[1], -1)[run.reshape(-1)]
    return Placements(examples, starts, sizes.any(axis=3).astype(np.float32), shape)
