"""Read the values of one row by their roles, and collect all that is wrong with them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fsl_jax.data.examples import Example
from fsl_jax.errors import problems_error
from fsl_jax.models.tokenizing import character_problem
from fsl_jax.tasks.task import Columns, Values


def value_of(row: Values, column: str) -> Any:
    """Return a value of a row.

    Args:
      row: the values by column.
      column: the name of a column; or names with dots between them, which lead into mappings.

    Returns:
      The value; None if there is none.
    """
    if column in row or "." not in column:
        return row.get(column)
    first, _, rest = column.partition(".")
    inner = row.get(first)
    return value_of(inner, rest) if isinstance(inner, Mapping) else None


@dataclasses.dataclass
class RowReader:
    """Reads one row.

    Attributes:
      row: the values by column.
      columns: the columns of each role.
      problems: the problems that were found so far.
    """

    row: Values
    columns: Columns
    problems: list[str] = dataclasses.field(default_factory=list)

    def column(self, role: str) -> str:
        """Return the first column of a role; empty if it has none."""
        return next(iter(self.columns.get(role, ())), "")

    def value(self, role: str) -> Any:
        """Return the value of a role; None if it has no column or no value."""
        return value_of(self.row, self.column(role)) if self.column(role) else None

    def add(self, problem: str, role: str) -> None:
        """Note a problem with the value of a role."""
        self.problems.append(f"{problem} in column {self.column(role)!r}")

    def text(self, role: str) -> str:
        """Return the text of a role, without white space around it."""
        return self._text(self.column(role))

    def texts(self, role: str) -> dict[str, str]:
        """Return the text of each column of a role, by the column's name; one is named as the role.

        Args:
          role: the role.

        Returns:
          The parts of an example.
        """
        columns = self.columns[role]
        names = columns if len(columns) > 1 else (role,)
        return {name: self._text(column) for name, column in zip(names, columns, strict=True)}

    def optional_text(self, role: str) -> str:
        """Return the text of a role that may have no column, or no value; then it is empty."""
        value = self.value(role)
        return "" if value is None or value == "" else self.text(role)

    def label(self, role: str) -> str:
        """Return the label of a role; integers become decimal strings, booleans true and false."""
        return self.label_of(self.value(role), self.column(role))

    def label_of(self, value: Any, column: str) -> str:
        """Return a label, and note what is wrong with it."""
        found = self._label_problem(value)
        if found:
            self.problems.append(f"{found} in column {column!r}")
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value).strip()

    def number(self, role: str) -> float:
        """Return the number of a role, which may be written as text."""
        value = self.value(role)
        try:
            number = float(value) if isinstance(value, str | int | float) else None
        except (ValueError, OverflowError):
            number = None
        if number is None or isinstance(value, bool):
            self.add("no number" if value in (None, "") else "no number but another value", role)
            return 0.0
        if not math.isfinite(number):
            self.add("a number that is not finite", role)
        return number

    def words(self, role: str) -> list[str]:
        """Return the words of a role, which are a list of texts."""
        value = self.value(role)
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            self.add("no list of words", role)
            return []
        if not all(isinstance(word, str) for word in value):
            self.add("a word that is no text", role)
            return []
        for problem in {problem for word in value for problem in character_problems(word)}:
            self.add(problem, role)
        return list(value)

    def example(
        self, parts: Mapping[str, str], answer: Any, group: str = "", names: tuple[str, ...] = ()
    ) -> Example:
        """Return the example.

        Args:
          parts: its texts by name.
          answer: its answer.
          group: its group, unless there is a column for it.
          names: the names of the parts of its answer.

        Returns:
          The example.

        Raises:
          InputError: the row had problems.
        """
        identity, own = (self.value(role) for role in ("identity", "group"))
        if self.problems:
            raise problems_error("the row cannot be read:", self.problems)
        return Example(
            parts,
            answer,
            group if own is None else str(own),
            "" if identity is None else str(identity),
            names,
            self.row,
        )

    def _text(self, column: str) -> str:
        value = value_of(self.row, column)
        for problem in text_problems(value):
            self.problems.append(f"{problem} in column {column!r}")
        return value.strip() if isinstance(value, str) else ""

    def _label_problem(self, label: Any) -> str | None:
        if label is None or (isinstance(label, str) and not label.strip()):
            return "no label"
        if not isinstance(label, str | int):
            return f"{type(label).__name__} instead of a label (text, integer or boolean)"
        return next(iter(character_problems(label)), None) if isinstance(label, str) else None


def text_problems(text: Any) -> list[str]:
    """Describe what is wrong with a text, in words that do not depend on the row."""
    if text is None:
        return ["no text"]
    if not isinstance(text, str):
        return [f"{type(text).__name__} instead of text"]
    if not text.strip():
        return ["empty text"]
    return character_problems(text)


def character_problems(text: str) -> list[str]:
    """Describe what no tokenizer can read in a text."""
    # Without the position, so that all rows with this problem are named in one line.
    return ["half a surrogate pair, which is no character,"] if character_problem(text) else []
