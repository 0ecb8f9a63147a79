"""Limits on how much is read of data that a hub has."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.rows import Rows

MOST_ROWS = 200_000
"""The largest number of rows that are read of each part, unless the options give another."""

LARGEST_DOWNLOAD = 1 << 30
"""The largest size of a repository that is downloaded as a whole, in bytes; others are streamed."""

Item = TypeVar("Item")


def first_rows(items: Iterable[Item], options: ReadOptions, rows: Rows) -> Iterator[Item]:
    """Yield as many items as are read of a part, and say in a remark if there are more."""
    limit = options.max_rows or MOST_ROWS
    for number, item in enumerate(items):
        if number == limit:
            rows.remarks.append(limit_remark(rows.source, limit))
            return
        yield item


def limit_remark(source: str, limit: int) -> str:
    """Return the remark on a source of which the first rows are read."""
    return f"The first {limit:,} rows of {source} were read; max_rows allows more."
