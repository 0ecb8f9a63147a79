"""Draw the examples of each step of a run, so that all steps have about as many tokens."""

import math

import numpy as np
from jaxtyping import Int32

from fsl_jax.errors import InputError

# In simulations with real texts, the batch with the most tokens is then 1 to 2% above the mean, and
# 20 to 36% without swaps.
_ROUNDS = 64
_TOLERANCE = 0.25


def batch_order(
    seed: int, lengths: Int32[np.ndarray, " E"], batch_size: int, steps: int
) -> Int32[np.ndarray, "{steps} {batch_size}"]:
    """Draw the examples of each step from consecutive shuffled epochs, cut into batches.

    After the shuffle, examples of one epoch are swapped at random between two of its batches, where
    that makes the numbers of their tokens more equal. So batches are as random as equal numbers of
    tokens allow: only a few texts that are much longer than all others seldom share a batch.

    Every batch is full. A batch that reaches the end of an epoch continues in the next epoch, so it
    may have an example twice. A batch that is larger than the data has each example at least
    `batch_size // E` times. The order for more steps begins with the order for fewer. An equal
    number of tokens more in each example does not change the order.

    Args:
      seed: not negative; the same seed gives the same order.
      lengths: the number of tokens of each of E examples, at least one example.
      batch_size: B, the number of examples in a step.
      steps: S, the number of steps.

    Returns:
      Indices of examples, int32 `[S, B]`.

    Raises:
      InputError: a number is out of range; the error names all such numbers.
    """
    least = {"seed": (seed, 0), "the number of examples": (len(lengths), 1)}
    least |= {"batch_size": (batch_size, 1), "steps": (steps, 0)}
    problems = [
        f"{name} is {value}, at least {low}" for name, (value, low) in least.items() if value < low
    ]
    if problems:
        raise InputError(f"no order of batches: {'; '.join(problems)} is needed.")
    # After this many examples, an epoch and a batch begin at the same place again.
    period = math.lcm(len(lengths), batch_size)
    batches = period // batch_size
    periods = -(-steps // batches)
    # All is drawn at once, period by period, so that fewer steps draw the same.
    generator = np.random.Generator(np.random.PCG64(seed))
    draws = generator.random((periods, period + _ROUNDS * 2 * batches))
    epochs = (periods, period // len(lengths), len(lengths))
    shuffled = draws[:, :period].reshape(epochs).argsort(axis=2)
    order = shuffled.astype(np.int32).reshape(periods, period)
    _even_out(order, lengths, draws[:, period:].reshape(periods, _ROUNDS, 2, batches))
    return order.reshape(-1, batch_size)[:steps]


def _even_out(order: np.ndarray, lengths: np.ndarray, draws: np.ndarray) -> None:
    """Swap examples between batches of an epoch until all have about as many tokens.

    Args:
      order: the examples of each period, `[P, period]`; changed in place.
      lengths: the number of tokens of each example.
      draws: numbers from 0 to 1, `[P, rounds, 2, batches]`: which example each batch offers, and
        which batches are paired.
    """
    periods, rounds, _, batches = draws.shape
    # So an equal number of tokens more in each example changes nothing, not even by rounding.
    lengths = lengths.astype(np.int64) - lengths.min()
    tolerance = _TOLERANCE * lengths.std()
    batch_size = order.shape[1] // batches
    even = batch_size * lengths.mean()
    for number in range(rounds):
        excess = lengths[order].reshape(periods, batches, batch_size).sum(axis=2) - even
        uneven = np.flatnonzero(np.abs(excess).max(axis=1, initial=0) > tolerance)
        if not len(uneven):
            return
        period, one, other = _swaps(
            order[uneven], lengths, excess[uneven], tolerance, draws[uneven, number]
        )
        period = uneven[period]
        order[period, one], order[period, other] = order[period, other], order[period, one]


def _swaps(
    order: np.ndarray, lengths: np.ndarray, excess: np.ndarray, tolerance: float, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the swaps that help: of each the period, and the two places in it.

    A swap helps if it makes the more uneven one of two batches more even. Each batch takes part in
    at most one.
    """
    batches = excess.shape[1]
    batch_size = order.shape[1] // batches
    place = np.arange(batches) * batch_size + (draws[:, 0] * batch_size).astype(np.int64)
    epoch = place // len(lengths)
    # Batches that offer an example of one epoch come together, in random order.
    batch = (epoch + draws[:, 1]).argsort(axis=1)
    row = np.arange(len(order))[:, None]
    place, excess = place[row, batch], excess[row, batch]
    size = lengths[order[row, place]]
    one, other = excess[:, :-1], excess[:, 1:]
    moved = size[:, 1:] - size[:, :-1]
    before = np.maximum(np.abs(one), np.abs(other))
    after = np.maximum(np.abs(one + moved), np.abs(other - moved))
    epoch = place // len(lengths)
    helps = (epoch[:, 1:] == epoch[:, :-1]) & (before > tolerance) & (after < before)
    helps[:, 1:] &= ~helps[:, :-1]
    period, first = np.nonzero(helps)
    return period, place[period, first], place[period, first + 1]
