"""The fixed test set of a data set: what it is where the source has none, and subsets of it."""

from collections.abc import Callable, Hashable, Sequence

from fsl_jax.data.duplicates import text_hash
from fsl_jax.data.earlier_names import names_of_tasks
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.errors import InputError


def fixed_fifth(
    examples: Sequence[Example],
    stratum: Callable[[Example], Hashable] = lambda example: example.answer,
) -> frozenset[int]:
    """Choose the test set of a source that has none: a fifth of each stratum, rounded.

    In each stratum the texts with the smallest hashes are chosen, so the choice depends only on the
    texts, not on the order of the rows. If examples have groups, whole groups are chosen, by the
    hashes of their names, until they have a fifth of all examples; then strata do not count.

    Args:
      examples: distinct texts.
      stratum: returns what an example counts under; by default its answer, which is its class.

    Returns:
      The indices of the chosen examples.
    """
    if any(example.group for example in examples):
        return _fifth_of_groups(examples)
    strata: dict[Hashable, list[int]] = {}
    for position, example in enumerate(examples):
        strata.setdefault(stratum(example), []).append(position)
    chosen: set[int] = set()
    for positions in strata.values():
        in_order = sorted(positions, key=lambda position: text_hash(examples[position].text))
        chosen.update(in_order[: round(len(in_order) / 5)])
    return frozenset(chosen)


def _fifth_of_groups(examples: Sequence[Example]) -> frozenset[int]:
    groups: dict[str, list[int]] = {}
    for position, example in enumerate(examples):
        groups.setdefault(example.group or example.text, []).append(position)
    chosen: set[int] = set()
    for group in sorted(groups, key=text_hash):
        # A group that would overshoot by more than it fills is passed over.
        if len(chosen) + len(groups[group]) / 2 <= len(examples) / 5:
            chosen.update(groups[group])
    return frozenset(chosen)


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


__getattr__ = names_of_tasks(__name__, "few_shot_split")
