"""Who trains, who validates, who tests: the fixed test set and the draws from a seed."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fsl_jax.data.duplicates import text_hash
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.errors import InputError, problems_error


def fixed_fifth(examples: Sequence[Example]) -> frozenset[int]:
    """The test set of a source that names none: a fifth of each class, rounded.

    In each class the texts with the smallest hashes are chosen, so the choice depends on the texts
    alone and not on the order of the rows.

    Args:
      examples: distinct texts.

    Returns:
      The positions of the chosen examples.
    """
    chosen: set[int] = set()
    for positions in _positions_by_label(examples).values():
        in_order = sorted(positions, key=lambda position: text_hash(examples[position].text))
        chosen.update(in_order[: round(len(in_order) / 5)])
    return frozenset(chosen)


def few_shot_split(dataset: Dataset, shots: int, seed: int) -> Split:
    """Draws K examples per class to train on and K others per class to validate on.

    As many for validation as for training is the protocol of Gao et al. 2021, "Making Pre-trained
    Language Models Better Few-shot Learners" (https://arxiv.org/abs/2012.15723). Validation
    examples come from the data set's validation part where it has one, else from what is left of
    train.

    Args:
      dataset: what to draw from.
      shots: K, at least 1.
      seed: not negative; the same seed gives the same split.

    Returns:
      The split. Its examples stand in rounds: one of each class, in an order drawn for the round,
      then another of each class, so that as many as fit into a prompt are balanced.

    Raises:
      InputError: a class has fewer examples than that; all such classes are named.
    """
    if shots < 1:
        raise InputError(f"shots is {shots}; at least 1 example per class is needed.")
    if seed < 0:
        raise InputError(f"the seed is {seed}; seeds are not negative.")
    _check_enough(dataset, shots)
    generator = np.random.Generator(np.random.PCG64(seed))
    own_validation = bool(dataset.validation)
    drawn = _draw(dataset, dataset.train, shots if own_validation else 2 * shots, generator)
    train, rest = drawn[:shots], drawn[shots:]
    validation = _draw(dataset, dataset.validation, shots, generator) if own_validation else rest
    return Split(seed, shots, _flat(train), _flat(validation))


def test_subset(dataset: Dataset, max_test: int | None) -> tuple[Example, ...]:
    """The part of the test set that is used when it is larger than one wants to pay for.

    A uniform draw that depends on nothing but the texts: the same for all seeds, models and
    methods, and a smaller subset is part of every larger one.

    Args:
      dataset: whose test set.
      max_test: how many examples at most; None for all.

    Returns:
      The examples, in the order of the test set.

    Raises:
      InputError: `max_test` is less than 1.
    """
    if max_test is None:
        return dataset.test
    if max_test < 1:
        raise InputError(f"max_test is {max_test}; at least 1 test example is needed.")
    hashes = [text_hash(example.text, salt="test_subset") for example in dataset.test]
    chosen = sorted(range(len(hashes)), key=hashes.__getitem__)[:max_test]
    return tuple(dataset.test[position] for position in sorted(chosen))


def _positions_by_label(examples: Sequence[Example]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for position, example in enumerate(examples):
        positions.setdefault(example.label, []).append(position)
    return positions


def _check_enough(dataset: Dataset, shots: int) -> None:
    if dataset.validation:
        needs = [("train", dataset.train, shots), ("validation", dataset.validation, shots)]
        use = f"{shots} in train and {shots} in validation"
    else:
        needs = [("train", dataset.train, 2 * shots)]
        use = f"{2 * shots}: {shots} to train on and {shots} to validate on"
    found = []
    for part, examples, needed in needs:
        counts = Counter(example.label for example in examples)
        found += [
            f"class {label!r} has {counts[label]} examples in {part}, {needed} are needed"
            for label in dataset.labels
            if counts[label] < needed
        ]
    if found:
        summary = f"{dataset.name}: too few examples for {shots} shots, which take per class {use}."
        raise problems_error(f"{summary} Ask for fewer shots, or add examples.", found)


def _draw(
    dataset: Dataset, examples: Sequence[Example], rounds: int, generator: np.random.Generator
) -> list[list[Example]]:
    """One example of each class a round, in an order of its own."""
    positions = _positions_by_label(examples)
    columns = [generator.permutation(positions[label])[:rounds] for label in dataset.labels]
    return [
        [examples[columns[index][number]] for index in generator.permutation(len(columns))]
        for number in range(rounds)
    ]


def _flat(rounds: Sequence[Sequence[Example]]) -> tuple[Example, ...]:
    return tuple(example for one in rounds for example in one)
