"""The two pools of a split, and what every draw asks of its numbers."""

from collections.abc import Sequence

import numpy as np

from fsl_jax.data.examples import Dataset, Example
from fsl_jax.errors import InputError


def checked_generator(shots: int, seed: int) -> np.random.Generator:
    """Return the generator of random numbers of a draw.

    Args:
      shots: K.
      seed: the seed of the split.

    Returns:
      The generator.

    Raises:
      InputError: K is less than 1, or the seed is negative.
    """
    if shots < 1:
        raise InputError(f"shots is {shots}; at least 1 example per class is needed.")
    if seed < 0:
        raise InputError(f"the seed is {seed}; seeds are not negative.")
    return np.random.Generator(np.random.PCG64(seed))


def sides(
    dataset: Dataset, generator: np.random.Generator
) -> tuple[tuple[Example, ...], tuple[Example, ...]] | None:
    """Return the pools to train on and to validate on, which have no group in common.

    Args:
      dataset: the data set.
      generator: random numbers, of which none are taken unless groups are divided.

    Returns:
      The two pools; None if one pool serves both, since it has no groups.
    """
    if dataset.validation:
        return dataset.train, dataset.validation
    if any(example.group for example in dataset.train):
        return _divided(dataset.train, generator)
    return None


def _divided(
    examples: Sequence[Example], generator: np.random.Generator
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Give each group at random to one of two sides, so that both have about as many examples."""
    groups: dict[str, list[Example]] = {}
    for position, example in enumerate(examples):
        groups.setdefault(example.group or f"\0{position}", []).append(example)
    listed = list(groups.values())
    pools: tuple[list[Example], list[Example]] = ([], [])
    for index in generator.permutation(len(listed)):
        smaller = min(pools, key=len)
        smaller += listed[index]
    return tuple(pools[0]), tuple(pools[1])


def remedy(most: int) -> str:
    """Say what to do about too few examples, if `most` shots fit."""
    return f"At most {most} shots fit: ask for fewer, or add examples." if most else "Add examples."


def removed_sentence(dataset: Dataset) -> str:
    """Say how many duplicates were removed, with a space at the end; empty if none were."""
    removed = dataset.duplicates_removed
    return f"{removed} rows were duplicates and were removed. " if removed else ""
