"""Load data sets by name or path, and make them from labelled texts."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fsl_jax.data.duplicates import remove_duplicates
from fsl_jax.data.embedded import EMBEDDED, load_embedded
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.data.file_formats import READERS
from fsl_jax.data.local_files import read_local
from fsl_jax.data.splits import fixed_fifth
from fsl_jax.errors import InputError, problems_error, unknown_name


def load_dataset(name: str, *, text_column: str = "text", label_column: str = "label") -> Dataset:
    """Load a data set for text classification.

    Args:
      name: `bbc_news`, `bbc_headlines`, or a path: a directory with `train.*`, `test.*` and
        optionally `validation.*`, or a single file, of which a fixed fifth becomes the test set.
        Files are JSONL, CSV or Parquet.
      text_column: the column of the texts in local files.
      label_column: the column of the labels in local files.

    Returns:
      The data set, without duplicates.

    Raises:
      InputError: there is no such data set, or it cannot be used; the message says why.
    """
    if name in EMBEDDED:
        return load_embedded(name)
    path = Path(name).expanduser()
    if path.exists():
        parts = read_local(path, text_column, label_column)
        return make_dataset(name, parts.train, parts.validation, parts.test)
    if os.sep in name or path.suffix.lower() in READERS:
        raise InputError(f"there is no file or directory {name!r} (looked in {Path.cwd()}).")
    raise InputError(f"{unknown_name('data set', name, EMBEDDED)} Or give a file or a directory.")


def make_dataset(
    name: str,
    train: Sequence[Example],
    validation: Sequence[Example] = (),
    test: Sequence[Example] | None = None,
) -> Dataset:
    """Make a data set from labelled texts: remove duplicates and choose the test set.

    Args:
      name: the name of the data set.
      train: the pool from which few-shot splits are drawn.
      validation: the pool of validation examples; may be empty.
      test: the test set; None takes a fixed fifth of `train`.

    Returns:
      The data set.

    Raises:
      InputError: the data set has fewer than two classes, no test examples, or labels that `train`
        lacks.
    """
    distinct = remove_duplicates(train, validation, test or ())
    kept_train, kept_test = distinct.train, distinct.test
    if test is None:
        chosen = fixed_fifth(kept_train)
        kept_test = tuple(example for i, example in enumerate(kept_train) if i in chosen)
        kept_train = tuple(example for i, example in enumerate(kept_train) if i not in chosen)
    dataset = Dataset(
        name=name,
        train=kept_train,
        validation=distinct.validation,
        test=kept_test,
        labels=tuple(sorted({example.label for example in kept_train})),
        duplicates_removed=distinct.duplicates_removed,
        contradictions_removed=distinct.contradictions_removed,
    )
    _check(dataset)
    return dataset


def _check(dataset: Dataset) -> None:
    problems = []
    if len(dataset.labels) < 2:
        problems.append(f"train has {len(dataset.labels)} classes, at least 2 are needed")
    if not dataset.test:
        problems.append("no example is left for the test set")
    for part in ("validation", "test"):
        counts = Counter(example.label for example in getattr(dataset, part))
        for label in sorted(counts.keys() - set(dataset.labels)):
            problems.append(
                f"label {label!r} is in {part} ({counts[label]} times) and not in train"
            )
    if problems:
        removed = f" after {dataset.duplicates_removed} duplicates were removed"
        raise problems_error(
            f"{dataset.name} cannot be used{removed if dataset.duplicates_removed else ''}:",
            problems,
        )
