"""What the rest of the library sees of a data set: labelled texts in three parts, and a split."""

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
    """Labelled texts in three parts, none of which has a text of another.

    Attributes:
      name: as it was asked for: an embedded name or a path.
      train: the pool that few-shot splits are drawn from.
      validation: the pool of validation examples; empty where the source has none.
      test: the fixed test set.
      labels: the classes, sorted. Every label of any part is one of them.
      duplicates_removed: how many rows the source had besides these.
      contradictions_removed: how many of the removed rows had a text that stood in the same part
        with another label too.
    """

    name: str
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]
    duplicates_removed: int = 0
    contradictions_removed: int = 0

    @functools.cached_property
    def sha256(self) -> str:
        """The fingerprint of all labels and texts in their order, wherever they came from."""
        parts = [
            [[example.label, example.text] for example in part]
            for part in (self.train, self.validation, self.test)
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Split:
    """One draw of train and validation examples.

    Attributes:
      seed: what it was drawn from.
      shots: examples per class, K, in each of the two parts.
      train: K examples of each class; any first `C * k` of them are k of each.
      validation: K other examples of each class, in the same kind of order.
    """

    seed: int
    shots: int
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
