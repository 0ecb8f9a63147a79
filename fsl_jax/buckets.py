"""Pad token arrays to a few lengths, so that few programs are compiled."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int32


def bucket_lengths(maximum: int) -> tuple[int, ...]:
    """Return all lengths that token arrays of a model can have.

    They are 16, 32, 48, 64, 96, 128, 192 and so on: the powers of two and the numbers halfway
    between them. So there are two lengths for each doubling, and padding adds less than half to a
    sequence above 32 tokens.

    Args:
      maximum: the longest sequence, in tokens. It is always the last length.

    Returns:
      The lengths, in ascending order.
    """
    lengths = [16]
    power = 32
    while power < maximum:
        lengths += [power, power + power // 2]
        power *= 2
    return (*(length for length in lengths if length < maximum), maximum)


def bucket_length(longest: int, maximum: int) -> int:
    """Return the length to which sequences are padded.

    Args:
      longest: the length of the longest sequence, in tokens.
      maximum: the longest sequence that the model takes, in tokens.

    Returns:
      The smallest of `bucket_lengths(maximum)` that is at least `longest`.

    Raises:
      ValueError: `longest` is above `maximum`.
    """
    if longest > maximum:
        raise ValueError(
            f"a sequence of {longest} tokens does not fit into {maximum}: cut it first"
        )
    return next(length for length in bucket_lengths(maximum) if longest <= length)


def pad_tokens(
    sequences: Sequence[Sequence[int]], length: int, pad_id: int
) -> tuple[Int32[np.ndarray, "E {length}"], Bool[np.ndarray, "E {length}"]]:
    """Join sequences into one array, padded on the right.

    Args:
      sequences: token ids of each of E examples.
      length: T, from `bucket_length`.
      pad_id: the id that fills the padding.

    Returns:
      Token ids, int32 `[E, T]`, and the mask, bool `[E, T]`, which is True where a token is real.

    Raises:
      ValueError: a sequence is longer than `length`; this function does not cut it.
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
