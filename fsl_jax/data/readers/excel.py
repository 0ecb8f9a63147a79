"""Read workbooks of Excel with the package openpyxl."""

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsl_jax.data.readers.contents import most_bytes, too_large
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.plain_values import plain_value
from fsl_jax.data.rows import Row, Rows
from fsl_jax.errors import InputError

MOST_COLUMNS = 1000
"""The largest number of columns that are read."""


def read_excel(path: Path, options: ReadOptions | None = None) -> Rows:
    """Read the first sheet of a workbook, whose first row that is not empty names the columns.

    Args:
      path: an `.xlsx` file.
      options: the largest size to which it may unfold.

    Returns:
      The rows that are not empty. Formulas are the values that were computed for them.

    Raises:
      InputError: openpyxl is not installed, or the file unfolds to more than the largest size.
    """
    rows = Rows(path.name, unit="row")
    limit = most_bytes(path, (options or ReadOptions()).max_unfolded)
    try:
        import openpyxl
    except ImportError as error:
        raise InputError(
            f"{path} is read with openpyxl, which is not installed: run `pip install openpyxl`, or "
            "save the sheet as CSV."
        ) from error
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > limit:
                raise too_large(path, limit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It warns of styles that it does not know.
            workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                _add_sheet(rows, workbook, _Cells(path, limit))
            finally:
                workbook.close()
    except InputError:
        raise
    # A damaged file may break any of the libraries that openpyxl reads it with.
    except Exception as error:
        rows.rows = []
        rows.malformed.append(f"not an Excel file, or a damaged one ({str(error)[:200]})")
    return rows


class _Cells:
    """Counts the cells of a sheet, since a few bytes may claim a million empty ones."""

    def __init__(self, path: Path, max_bytes: int):
        self.path, self.max_bytes = path, max_bytes
        self.left = max_bytes // 16

    def rows(self, sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Yield the values of each row that is not empty, with its number."""
        # What the file says of the size of its sheet may be wrong.
        sheet.reset_dimensions()
        for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            self.left -= 1 + len(values)
            if self.left < 0:
                raise too_large(self.path, self.max_bytes)
            if any(value is not None for value in values):
                yield number, values


def _add_sheet(rows: Rows, workbook: Any, cells: _Cells) -> None:
    sheets = workbook.worksheets
    if len(sheets) > 1:
        rows.remarks.append(
            f"The first of {len(sheets)} sheets of {rows.source} was read: {sheets[0].title!r}."
        )
    header: tuple[str, ...] = ()
    single: list[int] = []
    for number, values in cells.rows(sheets[0]):
        if not header:
            header = _header(values)
            if len(header) > MOST_COLUMNS:
                rows.malformed.append(f"row {number}: more than {MOST_COLUMNS:,} columns")
                return
            single = [i for i, name in enumerate(header) if name and header.count(name) == 1]
            rows.columns = tuple(name for name in header if name)
            continue
        if any(value is not None for value in values[len(header) :]):
            rows.malformed.append(f"row {number}: there are more values than names of columns")
            continue
        padded = (*values, *[None] * (len(header) - len(values)))
        rows.rows.append(Row(number, {header[i]: plain_value(padded[i]) for i in single}))


def _header(values: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the names of columns, without empty ones at the end."""
    names = ["" if value is None else str(value) for value in values]
    while names and not names[-1]:
        names.pop()
    return tuple(names)
