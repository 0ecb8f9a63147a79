"""Load data sets by name or path, and make them from labelled texts."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from fsl_jax.data.duplicates import remove_duplicates
from fsl_jax.data.embedded import EMBEDDED, load_embedded
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.data.file_formats import READERS
from fsl_jax.data.local_files import read_local
from fsl_jax.data.splits import fixed_fifth
from fsl_jax.data.table import shortened
from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.files import local_path


def load_dataset(
    name: str,
    *,
    text_column: str = "text",
    label_column: str = "label",
    max_unfolded: int | None = None,
) -> Dataset:
    """Load a data set for text classification.

    Args:
      name: `bbc_news`, `bbc_headlines`, or a path: a directory with `train.*`, `test.*` and
        optionally `validation.*`, or a single file, of which a fixed fifth becomes the test set.
        Files are JSONL, CSV, Parquet or Arrow.
      text_column: the column of the texts in local files.
      label_column: the column of the labels in local files.
      max_unfolded: the largest size to which a compressed file may unfold, in bytes; by default it
        follows from the file's size.

    Returns:
      The data set, without duplicates.

    Raises:
      InputError: there is no such data set, or it cannot be used; the message says why.
    """
    if name in EMBEDDED:
        return load_embedded(name)
    path = local_path(name)
    if path.exists():
        parts = read_local(path, text_column, label_column, max_unfolded)
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
    if validation and not distinct.validation:
        raise InputError(
            f"{name}: all {len(validation)} rows of validation are duplicates, and none is left to "
            "validate on. Remove validation, to validate on the rest of train, or give other rows."
        )
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
        # A class that lost its training examples to duplicates is still one: the split names it.
        labels=tuple(sorted({example.label for example in train})),
        duplicates_removed=distinct.duplicates_removed,
        contradictions_removed=distinct.contradictions_removed,
    )
    _check(dataset)
    _warn_of_untested(dataset)
    return dataset


def _warn_of_untested(dataset: Dataset) -> None:
    if untested := dataset.labels_without_test:
        logging.warning(
            "%s: the test set has no example of %s, so no accuracy says anything about %s.",
            dataset.name,
            shortened(map(repr, untested)),
            "it" if len(untested) == 1 else "them",
        )


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
