"""Deal out examples to a number of batches that are about equally long."""

import numpy as np
from jaxtyping import Int32

from fsl_jax.packing.rounding import divide_up


def deal(
    lengths: Int32[np.ndarray, "N E"], batches: int
) -> tuple[Int32[np.ndarray, "N {batches} B"], Int32[np.ndarray, "N {batches} B"]]:
    """Deal out examples in rounds, each of which gives every batch one example.

    The longest examples are dealt first, and in each round the batch with the fewest tokens gets
    the longest. So batches have about as many tokens, and as many examples but for one.

    Args:
      lengths: the number of tokens of each of E examples, for N sets of examples.
      batches: the number of batches.

    Returns:
      The indices of the examples of each batch of each set, and their lengths; E and 0 where a
      batch has one example less. B is `E / batches`, rounded up.
    """
    sets, examples = lengths.shape
    rounds = divide_up(examples, batches)
    order = np.full((sets, rounds * batches), examples, np.int32)
    order[:, :examples] = np.argsort(-lengths, axis=1, kind="stable")
    sizes = np.append(lengths, np.zeros((sets, 1), np.int32), axis=1)
    dealt = np.empty((sets, batches, rounds), np.int32)
    tokens = np.zeros((sets, batches), np.int64)
    number = np.arange(sets)[:, None]
    for turn, chosen in enumerate(order.reshape(sets, rounds, batches).swapaxes(0, 1)):
        batch = np.argsort(tokens, axis=1, kind="stable")
        dealt[number, batch, turn] = chosen
        tokens[number, batch] += sizes[number, chosen]
    return dealt, sizes[number[:, None], dealt]


def even_counts(tokens: int, examples: int, most: int) -> tuple[int, int]:
    """Return two numbers of batches: the fewest, and one that divides examples more evenly.

    Args:
      tokens: the number of tokens of all examples.
      examples: the number of examples, at least 1.
      most: about the most tokens of a batch.

    Returns:
      The two numbers, which may be equal.
    """
    fewest = min(divide_up(tokens, most), examples)
    return fewest, divide_up(examples, examples // fewest)
