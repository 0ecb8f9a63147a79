"""The wanted columns of a file, with everything in it that could not be read."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SHOWN = 10
"""The maximum number of lines that a message names for one problem."""


@dataclasses.dataclass
class Table:
    """The wanted columns of a file.

    Attributes:
      path: the file.
      unit: the unit of `Row.number`: "line" or "row".
      columns: the names of all columns, in the order in which they first appear.
      rows: the readable rows; empty unless the table `has` the wanted columns.
      malformed: a description of each line or row that could not be read.
    """

    path: Path
    unit: str
    columns: tuple[str, ...] = ()
    rows: list["Row"] = dataclasses.field(default_factory=list)
    malformed: list[str] = dataclasses.field(default_factory=list)

    def has(self, wanted: Iterable[str]) -> bool:
        """Return True if the table has each of these columns exactly once."""
        return all(self.columns.count(column) == 1 for column in wanted)


@dataclasses.dataclass(frozen=True)
class Row:
    """The values of one row.

    Attributes:
      number: the line where the row starts, or the row's number in the file, from 1.
      values: the values of the wanted columns, in their order; None for a missing value.
    """

    number: int
    values: tuple[Any, ...]


def shortened(items: Iterable[object]) -> str:
    """List the first few items as text, with the number of remaining items."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
