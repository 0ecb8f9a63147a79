"""The rows of one file or other source, with everything in it that could not be read."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

SHOWN = 10
"""The maximum number of lines that a message names for one problem."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
      number: the line where the row starts, or the row's number in the source, from 1.
      values: the values by column; None for a missing value. Nested values are lists and
        mappings, and the names of classes stand for their numbers where the source has names.
    """

    number: int
    values: Mapping[str, Any]


@dataclasses.dataclass
class Rows:
    """The rows of a file or of another source.

    Attributes:
      source: its name in messages, such as that of a file.
      unit: the unit of `Row.number`: "line" or "row".
      columns: the names of all columns, in the order in which they first appear; a name that is
        there twice is repeated.
      rows: the rows that could be read.
      malformed: a description of each line or row that could not be read.
      remarks: sentences about how it was read, such as an encoding that was found out.
      revision: which state of the source was read, such as the commit of a repository on a hub;
        empty for a file.
    """

    source: str
    unit: str
    columns: tuple[str, ...] = ()
    rows: list[Row] = dataclasses.field(default_factory=list)
    malformed: list[str] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)
    revision: str = ""


Parts = Mapping[str, tuple[Rows, ...]]
"""The files of each part of a data set: `train`, and perhaps `validation` and `test`."""


def shortened(items: Iterable[object]) -> str:
    """List the first few items as text, with the number of remaining items."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
