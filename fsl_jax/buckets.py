"""A few lengths for all token arrays, so that few programs are compiled."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int32


def bucket_lengths(maximum: int) -> tuple[int, ...]:
    """All lengths that token arrays of a model can have.

    16, 32, 48, 64, 96, 128, 192 and so on: the powers of two and what is halfway between them. That
    is two lengths a doubling, and padding adds less than half to a sequence above 32 tokens.

    Args:
      maximum: the longest sequence, in tokens; the last length, whatever it is.

    Returns:
      The lengths, ascending.
    """
    lengths = [16]
    power = 32
    while power < maximum:
        lengths += [power, power + power // 2]
        power *= 2
    return (*(length for length in lengths if length < maximum), maximum)


def bucket_length(longest: int, maximum: int) -> int:
    """The length to pad to.

    Args:
      longest: tokens of the longest sequence that is to fit.
      maximum: the longest sequence that the model takes, in tokens.

    Returns:
      The smallest of `bucket_lengths(maximum)` that `longest` fits into.

    Raises:
      ValueError: it fits into none.
    """
    if longest > maximum:
        raise ValueError(
            f"a sequence of {longest} tokens does not fit into {maximum}: cut it first"
        )
    return next(length for length in bucket_lengths(maximum) if longest <= length)


def pad_tokens(
    sequences: Sequence[Sequence[int]], length: int, pad_id: int
) -> tuple[Int32[np.ndarray, "E {length}"], Bool[np.ndarray, "E {length}"]]:
    """Puts sequences into one array, padded on the right.

    Args:
      sequences: token ids of each of E examples.
      length: T, from `bucket_length`.
      pad_id: the id that fills what is left.

    Returns:
      Token ids and the mask that is True where a token is real, both [E, T].

    Raises:
      ValueError: a sequence is longer than `length`; nothing is ever cut here.
    """
    lengths = np.array([len(sequence) for sequence in sequences], np.int32)
    if lengths.size and lengths.max() > length:
        raise ValueError(
            f"a sequence of {lengths.max()} tokens does not fit into {length}: cut it first"
        )
    mask = np.arange(length, dtype=np.int32)[None, :] < lengths[:, None]
    input_ids = np.full(mask.shape, pad_id, np.int32)
    for row, sequence in enumerate(sequences):
        input_ids[row, : len(sequence)] = sequence
    return input_ids, mask
