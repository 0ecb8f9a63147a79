"""Labelled texts, data sets in three parts, and few-shot splits."""

import dataclasses
import functools
import hashlib
import json


@dataclasses.dataclass(frozen=True)
class Example:
    """One labelled text."""

    text: str
    label: str


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled texts in three parts; no text is in two of them.

    Attributes:
      name: an embedded name or a path, as the user gave it.
      train: the pool from which few-shot splits are drawn.
      validation: the pool of validation examples; empty if the source has none.
      test: the fixed test set.
      labels: the classes, sorted: the labels of all rows of train. The other parts have no others.
      duplicates_removed: the number of rows of the source that were removed.
      contradictions_removed: the number of removed rows whose text also had another label in the
        same part.
    """

    name: str
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]
    duplicates_removed: int = 0
    contradictions_removed: int = 0

    @property
    def labels_without_test(self) -> tuple[str, ...]:
        """The classes that have no example in the test set."""
        tested = {example.label for example in self.test}
        return tuple(label for label in self.labels if label not in tested)

    @functools.cached_property
    def sha256(self) -> str:
        """The SHA-256 of all labels and texts in order, independent of their source."""
        parts = [
            [[example.label, example.text] for example in part]
            for part in (self.train, self.validation, self.test)
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Split:
    """One draw of train and validation examples.

    Attributes:
      seed: the seed of the draw.
      shots: K, the number of examples per class in each of the two parts.
      train: K examples of each class. For any k, the first `C * k` of them have k of each class.
      validation: K other examples of each class, ordered in the same way.
    """

    seed: int
    shots: int
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
