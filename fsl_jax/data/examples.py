"""Examples of any task, data sets in three parts, and few-shot splits."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

TEXT = "text"
"""The name of the part of an example that has only one."""


@dataclasses.dataclass(frozen=True)
class Example:
    """One item of a task: texts, and the answer that is to be predicted.

    Attributes:
      parts: the texts by name, such as `text`, or `premise` and `hypothesis`.
      answer: what is to be predicted, in the form that the task gives it, which can be hashed; None
        if it is not known.
      group: examples of one group stay on the same side of a split, such as the questions on one
        paragraph; empty for an example on its own.
      identity: the identifier that the data give it; empty if they give none.
      names: the names of the parts of an answer that has several, such as the columns of labels.
      row: the row of the data that it was read from, which does not count in comparisons.
    """

    parts: Mapping[str, str]
    answer: Any
    group: str = ""
    identity: str = ""
    names: tuple[str, ...] = ()
    row: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash((*self.parts.items(), self.answer, self.group, self.identity))

    @property
    def label(self) -> Any:
        """The answer, as it is called where it is a class."""
        return self.answer

    @property
    def text(self) -> str:
        """All texts, each on a line of its own."""
        return "\n".join(self.parts.values())


def text_example(text: str, answer: Any = None) -> Example:
    """Return an example with one text."""
    return Example({TEXT: text}, answer)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Examples in three parts; no text and no group is in two of them.

    Attributes:
      name: an embedded name or a path, as the user gave it.
      train: the pool from which few-shot splits are drawn.
      validation: the pool of validation examples; empty if the source has none.
      test: the fixed test set.
      labels: the closed set of labels of all rows of train, in the order of the task; the other
        parts have no others. Empty if answers are open.
      duplicates_removed: the number of rows of the source that were removed.
      contradictions_removed: the number of removed rows whose text also had another answer in the
        same part.
      task: the name of the task.
      columns: the columns of each role, where the examples were read from columns.
      labels_without_test: the labels that no example of the test set has.
      near_duplicates: the number of examples of train and validation that are much like an
        example of the test set.
      remarks: sentences about how the data were read, for the user.
    """

    name: str
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]
    duplicates_removed: int = 0
    contradictions_removed: int = 0
    task: str = "classification"
    columns: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    labels_without_test: tuple[str, ...] = ()
    near_duplicates: int = 0
    remarks: tuple[str, ...] = ()

    @functools.cached_property
    def sha256(self) -> str:
        """The SHA-256 of all answers and texts in order, independent of their source."""
        parts = [
            [[example.answer, example.text] for example in part]
            for part in (self.train, self.validation, self.test)
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Split:
    """One draw of train and validation examples.

    Attributes:
      seed: the seed of the draw.
      shots: K, the number of examples of each class in each of the two parts; a task without
        classes says what it counts instead.
      train: the examples to train on, such as K of each class. The first ones are as balanced as
        the task can be: with classes, for any k, the first `C * k` have k of each class.
      validation: as many others, ordered in the same way.
    """

    seed: int
    shots: int
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
