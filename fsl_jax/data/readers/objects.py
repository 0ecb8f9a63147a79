"""Make rows of JSON objects."""

from collections.abc import Iterable, Mapping
from typing import Any

from fsl_jax.data.rows import Row, Rows

MOST_COLUMNS = 1000
"""The largest number of different names in the objects of a file."""


def add_objects(rows: Rows, objects: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
    """Add objects to rows as they are, with None for a name that an object lacks.

    Args:
      rows: gets the columns and the rows.
      objects: each object with its number.
    """
    numbered = list(objects)
    columns: dict[str, None] = {}
    for number, values in numbered:
        columns |= dict.fromkeys(values)
        if len(columns) > MOST_COLUMNS:
            rows.malformed.append(
                f"{rows.unit} {number}: the objects have more than {MOST_COLUMNS:,} different "
                "names: is each one a column?"
            )
            return
    rows.columns = tuple(columns)
    missing = dict.fromkeys(columns)
    rows.rows += [Row(number, missing | dict(values)) for number, values in numbered]
