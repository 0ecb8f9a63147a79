"""Draw as few examples as have each label K times, for examples with several labels."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fsl_jax.data.draws.sides import checked_generator, remedy, removed_sentence, sides
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.errors import problems_error

LabelsOf = Callable[[Example], frozenset[str]]


def draw_covering(dataset: Dataset, shots: int, seed: int, labels_of: LabelsOf) -> Split:
    """Draw examples to train on until each label is in K of them, and others to validate on.

    An example counts for each of its labels. The draw is greedy, from the rarest label to the most
    frequent one, as in Yang and Katiyar 2020, "Simple and Effective Few-Shot Named Entity
    Recognition" (https://arxiv.org/abs/2010.02405). Then each example is left out without which
    every label still has K, as in Hou et al. 2020 (https://arxiv.org/abs/2006.05702). So a label
    that often stands beside others has more than K examples.

    Args:
      dataset: the data set.
      shots: K, at least 1: the least number of examples of each label in each of the two parts.
      seed: not negative; the same seed gives the same split.
      labels_of: returns the labels of an example.

    Returns:
      The split. The first examples have all labels, if they can.

    Raises:
      InputError: a label has too few examples; all such labels are named.
    """
    generator = checked_generator(shots, seed)
    labels = sorted({label for example in dataset.train for label in labels_of(example)})
    pools = sides(dataset, generator)
    if pools is None:
        _check_enough(dataset, {"train": (dataset.train, 2 * shots)}, labels, shots, labels_of)
        train = _draw(dataset.train, labels, shots, labels_of, generator)
        taken = set(train)
        rest = [example for example in dataset.train if example not in taken]
        _check_enough(dataset, {"the rest of train": (rest, shots)}, labels, shots, labels_of)
        validation = _draw(rest, labels, shots, labels_of, generator)
        return Split(seed, shots, tuple(train), tuple(validation))
    names = ("train", "validation")
    if not dataset.validation:
        names = ("the groups to train on", "the groups to validate on")
    needs = {name: (pool, shots) for name, pool in zip(names, pools, strict=True)}
    _check_enough(dataset, needs, labels, shots, labels_of)
    drawn = [tuple(_draw(pool, labels, shots, labels_of, generator)) for pool in pools]
    return Split(seed, shots, *drawn)


def _check_enough(
    dataset: Dataset,
    needs: Mapping[str, tuple[Sequence[Example], int]],
    labels: Sequence[str],
    shots: int,
    labels_of: LabelsOf,
) -> None:
    counted = {
        name: (Counter(label for example in pool for label in labels_of(example)), needed)
        for name, (pool, needed) in needs.items()
    }
    problems = [
        f"label {label!r} is in {counts[label]} examples of {name}, {needed} are needed"
        for name, (counts, needed) in counted.items()
        for label in labels
        if counts[label] < needed
    ]
    if not labels:
        problems = ["no example of train has a label"]
    if problems:
        most = min(
            (
                counts[label] * shots // needed
                for counts, needed in counted.values()
                for label in labels
            ),
            default=0,
        )
        raise problems_error(
            f"{dataset.name}: too few examples for {shots} shots of each label to train on and "
            f"{shots} others to validate on. {removed_sentence(dataset)}"
            f"{remedy(min(most, shots - 1))}",
            problems,
        )


def _draw(
    examples: Sequence[Example],
    labels: Sequence[str],
    shots: int,
    labels_of: LabelsOf,
    generator: np.random.Generator,
) -> list[Example]:
    found = [labels_of(example) for example in examples]
    frequency = Counter(label for each in found for label in each)
    order = generator.permutation(len(examples)).tolist()
    counts: Counter[str] = Counter()
    chosen: list[int] = []
    for label in sorted(labels, key=lambda label: (frequency[label], label)):
        for position in order:
            if counts[label] >= shots:
                break
            if label in found[position] and position not in chosen:
                chosen.append(position)
                counts.update(found[position])
    for position in list(chosen):
        if all(counts[label] > shots for label in found[position]):
            chosen.remove(position)
            counts.subtract(found[position])
    return [examples[position] for position in _balanced(chosen, found, generator)]


def _balanced(
    chosen: Sequence[int], found: Sequence[frozenset[str]], generator: np.random.Generator
) -> list[int]:
    """Order positions so that those that come first have all labels about equally often."""
    left = generator.permutation(np.array(chosen, int)).tolist()
    counts: Counter[str] = Counter()
    ordered = []
    while left:
        # The one whose labels came least often so far; the earliest of equals.
        best = min(left, key=lambda position: min(counts[label] for label in found[position]))
        left.remove(best)
        counts.update(found[best])
        ordered.append(best)
    return ordered
