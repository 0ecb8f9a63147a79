"""Draw K examples of each class."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fsl_jax.data.draws.sides import checked_generator, remedy, removed_sentence, sides
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.errors import problems_error


def draw_by_class(dataset: Dataset, shots: int, seed: int) -> Split:
    """Draw K examples per class to train on and K others per class to validate on.

    Validation has as many examples as training, as in Gao et al. 2021, "Making Pre-trained Language
    Models Better Few-shot Learners" (https://arxiv.org/abs/2012.15723). Validation examples come
    from the data set's validation part if it has one, else from the rest of train. If examples have
    groups, half of the groups are to train on.

    Args:
      dataset: the data set, whose answers are classes.
      shots: K, at least 1.
      seed: not negative; the same seed gives the same split.

    Returns:
      The split. Its examples come in rounds: each round has one example of each class in random
      order. So the first examples, as many as fit into a prompt, are balanced.

    Raises:
      InputError: a class has too few examples; all such classes are named.
    """
    generator = checked_generator(shots, seed)
    pools = sides(dataset, generator)
    _check_enough(dataset, pools, shots)
    if pools is None:
        drawn = _draw(dataset, dataset.train, 2 * shots, generator)
        return Split(seed, shots, _flat(drawn[:shots]), _flat(drawn[shots:]))
    train, validation = (_draw(dataset, pool, shots, generator) for pool in pools)
    return Split(seed, shots, _flat(train), _flat(validation))


def _check_enough(
    dataset: Dataset, pools: tuple[Sequence[Example], Sequence[Example]] | None, shots: int
) -> None:
    if pools is None:
        needs = [("train", dataset.train, 2 * shots)]
        use = f"{2 * shots}: {shots} to train on and {shots} to validate on"
    elif dataset.validation:
        needs = [
            (part, pool, shots) for part, pool in zip(("train", "validation"), pools, strict=True)
        ]
        use = f"{shots} in train and {shots} in validation"
    else:
        names = ("the groups to train on", "the groups to validate on")
        needs = [(name, pool, shots) for name, pool in zip(names, pools, strict=True)]
        use = f"{shots} in each half of the groups of train"
    counted = [(part, Counter(example.answer for example in pool), n) for part, pool, n in needs]
    problems = [
        f"class {label!r} has {counts[label]} examples in {part}, {needed} are needed"
        for part, counts, needed in counted
        for label in dataset.labels
        if counts[label] < needed
    ]
    if problems:
        most = min(
            counts[label] * shots // needed
            for _, counts, needed in counted
            for label in dataset.labels
        )
        summary = (
            f"{dataset.name}: too few examples for {shots} shots, which take per class {use}. "
            f"{removed_sentence(dataset)}{remedy(most)}"
        )
        raise problems_error(summary, problems)


def _draw(
    dataset: Dataset, examples: Sequence[Example], rounds: int, generator: np.random.Generator
) -> list[list[Example]]:
    """Draw rounds, each with one example of each class in random order."""
    positions: dict[str, list[int]] = {}
    for position, example in enumerate(examples):
        positions.setdefault(example.answer, []).append(position)
    columns = [generator.permutation(positions[label])[:rounds] for label in dataset.labels]
    return [
        [examples[columns[index][number]] for index in generator.permutation(len(columns))]
        for number in range(rounds)
    ]


def _flat(rounds: Sequence[Sequence[Example]]) -> tuple[Example, ...]:
    return tuple(example for examples in rounds for example in examples)
