"""Make a data set from examples: without duplicates, with a test set, with all labels known."""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence

from absl import logging

from fsl_jax.data.duplicates import DistinctParts, remove_duplicates
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.data.near_duplicates import near_duplicates
from fsl_jax.data.rows import shortened
from fsl_jax.data.splits import fixed_fifth
from fsl_jax.errors import InputError, brief, problems_error
from fsl_jax.tasks.classification import Classification
from fsl_jax.tasks.reading import Place, Problems
from fsl_jax.tasks.registry import find_task
from fsl_jax.tasks.task import Columns, Task

SHOWN_PAIRS = 3
"""The number of near duplicates that are shown."""


def make_dataset(
    name: str,
    train: Sequence[Example],
    validation: Sequence[Example] = (),
    test: Sequence[Example] | None = None,
    *,
    task: str = Classification.name,
    columns: Columns | None = None,
    remarks: Sequence[str] = (),
) -> Dataset:
    """Make a data set from examples: remove duplicates and choose the test set.

    Args:
      name: the name of the data set.
      train: the pool from which few-shot splits are drawn.
      validation: the pool of validation examples; may be empty.
      test: the test set; None takes a fixed fifth of `train`.
      task: the name of the task.
      columns: the columns of its roles, where examples were read from columns.
      remarks: sentences about how the examples were read.

    Returns:
      The data set.

    Raises:
      InputError: there is no such task, or the data set has too few classes, no test examples, or
        labels that `train` lacks.
    """
    kind = find_task(task)
    distinct = remove_duplicates(train, validation, test or (), kind.merged)
    if validation and not distinct.validation:
        raise InputError(
            f"{name}: all {len(validation)} rows of validation are duplicates, and none is left to "
            "validate on. Remove validation, to validate on the rest of train, or give other rows."
        )
    kept_train, kept_test = distinct.train, distinct.test
    if test is None:
        chosen = fixed_fifth(kept_train, kind.stratum)
        kept_test = tuple(example for i, example in enumerate(kept_train) if i in chosen)
        kept_train = tuple(example for i, example in enumerate(kept_train) if i not in chosen)
    # A class that lost its training examples to duplicates is still one: the split names it.
    labels = kind.labels(train)
    _check(name, kind, labels, distinct, kept_test)
    tested = set(kind.labels(kept_test))
    near, remark = _near_duplicates((*kept_train, *distinct.validation), kept_test)
    dataset = Dataset(
        name=name,
        train=kept_train,
        validation=distinct.validation,
        test=kept_test,
        labels=labels,
        duplicates_removed=distinct.duplicates_removed,
        contradictions_removed=distinct.contradictions_removed,
        task=task,
        columns=dict(columns or {}),
        labels_without_test=tuple(label for label in labels if label not in tested),
        near_duplicates=near,
        remarks=(*remarks, *remark, *_groups_remark(distinct)),
    )
    _warn_of_untested(dataset)
    return dataset


def label_problems(
    task: Task,
    parts: Mapping[str, Sequence[Example]],
    places: Mapping[str, Sequence[Place]],
) -> list[str]:
    """Describe the labels of other parts that train lacks.

    Args:
      task: the task.
      parts: the examples of each part.
      places: where each example comes from.

    Returns:
      A problem for each label of each part.
    """
    found = _unknown(task, set(task.labels(parts["train"])), parts)
    located = Problems()
    for key, positions in found.items():
        for position in positions:
            located.add(places[key[0]][position], _unknown_label(*key, len(positions)))
    return located.listed()


def _unknown(
    task: Task, known: Container[str], parts: Mapping[str, Sequence[Example]]
) -> dict[tuple[str, str], list[int]]:
    """Return the positions of the examples with an unknown label, by part and label, sorted."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for part in ("validation", "test"):
        for position, example in enumerate(parts.get(part, ())):
            for label in task.labels_in(example):
                if label not in known:
                    found[part, label].append(position)
    return dict(sorted(found.items(), key=lambda item: item[0][1]))


def _unknown_label(part: str, label: str, count: int) -> str:
    return f"label {label!r} is in {part} ({count} times) and not in train"


def _check(
    name: str,
    task: Task,
    labels: Sequence[str],
    distinct: DistinctParts,
    test: Sequence[Example],
) -> None:
    problems = task.problems(labels)
    if not test:
        problems.append("no example is left for the test set")
    unknown = _unknown(task, labels, {"validation": distinct.validation, "test": test})
    problems += [_unknown_label(*key, len(positions)) for key, positions in unknown.items()]
    if problems:
        removed = f" after {distinct.duplicates_removed} duplicates were removed"
        raise problems_error(
            f"{name} cannot be used{removed if distinct.duplicates_removed else ''}:", problems
        )


def _near_duplicates(
    others: Sequence[Example], test: Sequence[Example]
) -> tuple[int, tuple[str, ...]]:
    """Count the examples that are almost the same as one of the test set, and name some."""
    pairs = near_duplicates([e.text for e in others], [e.text for e in test])
    if not pairs:
        return 0, ()
    shown = "; ".join(
        f"{brief(others[i].text)} and {brief(test[j].text)}" for i, j in pairs[:SHOWN_PAIRS]
    )
    return len(pairs), (
        f"{len(pairs)} examples to train or validate on are almost the same as an example of the "
        f"test set, such as {shown}",
    )


def _groups_remark(distinct: DistinctParts) -> tuple[str, ...]:
    removed = distinct.of_other_groups
    return (f"{removed} rows were removed whose group is in another part",) if removed else ()


def _warn_of_untested(dataset: Dataset) -> None:
    if untested := dataset.labels_without_test:
        logging.warning(
            "%s: the test set has no example of %s, so no accuracy says anything about %s.",
            dataset.name,
            shortened(map(repr, untested)),
            "it" if len(untested) == 1 else "them",
        )
