"""The fixed test set of a data set, and few-shot splits drawn from a seed."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fsl_jax.data.duplicates import text_hash
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.errors import InputError, problems_error


def fixed_fifth(examples: Sequence[Example]) -> frozenset[int]:
    """Choose the test set of a source that has none: a fifth of each class, rounded.

    In each class the texts with the smallest hashes are chosen, so the choice depends only on the
    texts, not on the order of the rows.

    Args:
      examples: distinct texts.

    Returns:
      The indices of the chosen examples.
    """
    chosen: set[int] = set()
    for positions in _positions_by_label(examples).values():
        in_order = sorted(positions, key=lambda position: text_hash(examples[position].text))
        chosen.update(in_order[: round(len(in_order) / 5)])
    return frozenset(chosen)


def few_shot_split(dataset: Dataset, shots: int, seed: int) -> Split:
    """Draw K examples per class to train on and K others per class to validate on.

    Validation has as many examples as training, as in Gao et al. 2021, "Making Pre-trained Language
    Models Better Few-shot Learners" (https://arxiv.org/abs/2012.15723). Validation examples come
    from the data set's validation part if it has one, else from the rest of train.

    Args:
      dataset: the data set.
      shots: K, at least 1.
      seed: not negative; the same seed gives the same split.

    Returns:
      The split. Its examples come in rounds: each round has one example of each class in random
      order. So the first examples, as many as fit into a prompt, are balanced.

    Raises:
      InputError: a class has too few examples; all such classes are named.
    """
    if shots < 1:
        raise InputError(f"shots is {shots}; at least 1 example per class is needed.")
    if seed < 0:
        raise InputError(f"the seed is {seed}; seeds are not negative.")
    _check_enough(dataset, shots)
    generator = np.random.Generator(np.random.PCG64(seed))
    has_validation = bool(dataset.validation)
    drawn = _draw(dataset, dataset.train, shots if has_validation else 2 * shots, generator)
    train, rest = drawn[:shots], drawn[shots:]
    validation = _draw(dataset, dataset.validation, shots, generator) if has_validation else rest
    return Split(seed, shots, _flat(train), _flat(validation))


def test_subset(dataset: Dataset, max_test: int | None) -> tuple[Example, ...]:
    """Draw a subset of a test set that is too large to use completely.

    The draw is uniform and depends only on the texts. So it is the same for all seeds, models and
    methods, and a larger subset contains every smaller one.

    Args:
      dataset: the data set.
      max_test: the largest number of examples; None takes all.

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
    problems = []
    for part, examples, needed in needs:
        counts = Counter(example.label for example in examples)
        problems += [
            f"class {label!r} has {counts[label]} examples in {part}, {needed} are needed"
            for label in dataset.labels
            if counts[label] < needed
        ]
    if problems:
        removed = dataset.duplicates_removed
        summary = (
            f"{dataset.name}: too few examples for {shots} shots, which take per class {use}. "
            f"{f'{removed} rows were duplicates and were removed. ' if removed else ''}"
            f"{_remedy(_most_shots(dataset))}"
        )
        raise problems_error(summary, problems)


def _remedy(most: int) -> str:
    return f"At most {most} shots fit: ask for fewer, or add examples." if most else "Add examples."


def _most_shots(dataset: Dataset) -> int:
    """Return the largest number of shots for which every class has enough examples."""
    train = Counter(example.label for example in dataset.train)
    validation = Counter(example.label for example in dataset.validation)
    return min(
        min(train[label], validation[label]) if dataset.validation else train[label] // 2
        for label in dataset.labels
    )


def _draw(
    dataset: Dataset, examples: Sequence[Example], rounds: int, generator: np.random.Generator
) -> list[list[Example]]:
    """Draw rounds, each with one example of each class in random order."""
    positions = _positions_by_label(examples)
    columns = [generator.permutation(positions[label])[:rounds] for label in dataset.labels]
    return [
        [examples[columns[index][number]] for index in generator.permutation(len(columns))]
        for number in range(rounds)
    ]


def _flat(rounds: Sequence[Sequence[Example]]) -> tuple[Example, ...]:
    return tuple(example for examples in rounds for example in examples)
