"""The base class of tasks: what is asked, how few are drawn, and how answers are scored."""

import abc
import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from fsl_jax.data.examples import Dataset, Example, Split

Columns = Mapping[str, tuple[str, ...]]
"""The columns of each role; most roles have one. A dot leads into a value that is a mapping."""

Roles = Mapping[str, tuple[str, ...]]
"""The usual names of the columns of each role."""

Values = Mapping[str, Any]
"""The values of a row by column."""

Scores = dict[str, float]
"""The value of each metric by name."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table for a report.

    Attributes:
      title: what it shows.
      columns: the names of the columns; the first one names the rows.
      rows: a row for each line, with numbers and texts; None where there is no value.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number that says how good answers are.

    Attributes:
      name: its name in results.
      title: its name in tables, pictures and the middle of sentences.
      is_share: True if it is from 0 to 1, and shown in percent.
      higher_is_better: False for an error.
    """

    name: str
    title: str
    is_share: bool = True
    higher_is_better: bool = True


class Task(abc.ABC):
    """The base class of tasks.

    A task has no state, and knows neither a model nor how a model is asked (see `formulations`). An
    answer is a value that can be hashed; each task says which one.

    Attributes:
      name: its name in flags and results.
      description: what it asks, in a few words.
      roles: the columns that it reads: the usual names of each by its role, the most usual first.
      optional: the roles whose column may be missing.
      texts: the roles without whose text a row is empty.
      metrics: its metrics; the first one is the headline.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    roles: ClassVar[Roles]
    optional: ClassVar[frozenset[str]] = frozenset()
    texts: ClassVar[frozenset[str]]
    metrics: ClassVar[tuple[Metric, ...]]

    def find(self, columns: Sequence[str], rows: Sequence[Values]) -> dict[str, tuple[str, ...]]:
        """Find the columns of the roles by their usual names, in any case.

        Args:
          columns: the columns of a data set.
          rows: some of its rows.

        Returns:
          The columns of each role that was found.
        """
        del rows
        return {
            role: (named[0],)
            for role, names in self.roles.items()
            if (named := by_name(columns, names))
        }

    @abc.abstractmethod
    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Return True if rows can be examples of this task and look as if they were.

        Args:
          rows: some rows of a data set.
          columns: the columns of each role, all of which the data set has.
        """

    @abc.abstractmethod
    def read(self, row: Values, columns: Columns) -> Example:
        """Read one row.

        Args:
          row: the values by column; None for a missing value.
          columns: the columns of each role; an optional role may be missing.

        Returns:
          The example.

        Raises:
          InputError: the row cannot be an example; `problems` lists all that is wrong with it, in
            words that are the same for each row with the same kind of problem.
        """

    def reader(self, rows: Sequence[Values], columns: Columns) -> Callable[[Values], Example]:
        """Return a function that reads a row of a data set.

        Args:
          rows: all rows of train, for a task that has to see more than one row.
          columns: as in `read`.

        Returns:
          A function like `read` without its columns.
        """
        del rows
        return lambda row: self.read(row, columns)

    def remarks(self, rows: Sequence[Values], columns: Columns) -> list[str]:
        """Return what a user should know about how rows are read, such as what is left out.

        Args:
          rows: the rows of one part.
          columns: as in `read`.

        Returns:
          Sentences; mostly none.
        """
        del rows, columns
        return []

    def labels_in(self, example: Example) -> tuple[str, ...]:
        """Return the labels that the answer of an example has; none if answers are open."""
        del example
        return ()

    def labels(self, examples: Sequence[Example]) -> tuple[str, ...]:
        """Return the closed set of labels in answers, sorted; empty if answers are open."""
        return tuple(sorted({label for example in examples for label in self.labels_in(example)}))

    def renamed(self, example: Example, names: Mapping[str, str]) -> Example:
        """Return an example with other names of the labels in its answer.

        Args:
          example: the example.
          names: the new name of each label of `labels_in`.

        Returns:
          The example.
        """
        del names
        return example

    def stratum(self, example: Example) -> Hashable:
        """Return what must be as frequent in a test set as in all examples, such as the class."""
        del example
        return None

    def merged(self, answers: Sequence[Any]) -> Any:
        """Return the one answer that different answers to the same text make; None for none."""
        del answers
        return None

    def problems(self, labels: Sequence[str]) -> list[str]:
        """Describe why examples with these labels can be no data set of this task."""
        del labels
        return []

    @abc.abstractmethod
    def draw(self, dataset: Dataset, shots: int, seed: int) -> Split:
        """Draw the examples to train on and to validate on, and keep groups together.

        Args:
          dataset: the data set.
          shots: K, at least 1: the number of examples of each class, or what the task has instead.
          seed: not negative; the same seed gives the same split.

        Returns:
          The split, whose first examples are as balanced as the task can be.

        Raises:
          InputError: there are too few examples; the error says how many shots fit.
        """

    @abc.abstractmethod
    def written(self, example: Example) -> str:
        """Return the answer of an example as text, as a model is to write it."""

    @abc.abstractmethod
    def parse(self, text: str, example: Example, labels: Sequence[str] = ()) -> Any:
        """Read the answer that a text gives to an example.

        Args:
          text: what a model wrote.
          example: the example, whose own answer is not looked at.
          labels: the labels of the data set; without them, any label is taken.

        Returns:
          The answer; None if the text gives none.
        """

    @abc.abstractmethod
    def score(self, answers: Sequence[Any], examples: Sequence[Example]) -> Scores:
        """Score answers.

        Args:
          answers: an answer to each example; None where none could be read, which counts as wrong.
          examples: E examples with their correct answers.

        Returns:
          The value of each metric by name, the headline first.
        """

    @abc.abstractmethod
    def details(self, answers: Sequence[Any], examples: Sequence[Example]) -> list[Table]:
        """Return tables that show where answers are right and wrong, such as one by class."""

    @abc.abstractmethod
    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score answers that need no model, such as `chance` and `majority`, by name.

        Args:
          train: examples whose answers may be counted.
          test: the examples that are answered.

        Returns:
          For each baseline the value of the headline, and of the other metrics where these are
          known.
        """


def by_name(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns that have one of some names, in any case, in the order of names."""
    folded: dict[str, str] = {}
    for column in columns:
        folded.setdefault(column.casefold(), column)
    return [folded[name.casefold()] for name in names if name.casefold() in folded]
