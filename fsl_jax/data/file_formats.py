"""Read JSONL, CSV, Parquet and Arrow files, and find every problem of a file in one pass.

JSON and CSV are read with the standard library: it reports the line of a problem, imports in 0.01 s
(pandas 0.4 s, datasets 1.2 s), and keeps texts such as "NA" and "null".
"""

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

from fsl_jax.data.arrow_tables import read_arrow, read_parquet
from fsl_jax.data.table import Row, Table
from fsl_jax.errors import InputError
from fsl_jax.json_reader import parse_json


def read_jsonl(path: Path, wanted: tuple[str, ...], max_bytes: int | None = None) -> Table:
    """Read one JSON object from each line; empty lines are skipped.

    Args:
      path: a file in UTF-8.
      wanted: the columns to keep.
      max_bytes: not used, since the file is not compressed.

    Returns:
      The table; lines that are not JSON objects are in `malformed`.
    """
    columns: dict[str, None] = {}
    table = Table(path, unit="line")
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if not text:
                continue
            values = parse_json(text, f"line {number}")
        except UnicodeDecodeError as error:
            table.malformed.append(f"line {number}: not UTF-8 ({error.reason})")
            continue
        except InputError as error:
            table.malformed.append(str(error))
            continue
        columns |= dict.fromkeys(values)
        table.rows.append(Row(number, tuple(values.get(column) for column in wanted)))
    table.columns = tuple(columns)
    table.rows = table.rows if table.has(wanted) else []
    return table


def read_csv(path: Path, wanted: tuple[str, ...], max_bytes: int | None = None) -> Table:
    """Read comma-separated values with a header (RFC 4180); empty lines are skipped.

    Args:
      path: a file in UTF-8, with or without a byte order mark.
      wanted: the columns to keep.
      max_bytes: not used, since the file is not compressed.

    Returns:
      The table. Rows with too many or too few values are in `malformed`. So is the line at which
      reading had to stop because of an unclosed quote or bytes that are not UTF-8.
    """
    table = Table(path, unit="line")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        table.malformed.append(f"line {line}: not UTF-8 ({error.reason})")
        return table
    rows = _csv_rows(text, table.malformed)
    table.columns = rows[0][1] if rows else ()
    indices = [table.columns.index(column) for column in wanted] if table.has(wanted) else []
    for number, values in rows[1:]:
        if len(values) != len(table.columns):
            table.malformed.append(
                f"line {number}: {len(values)} values where the header has {len(table.columns)}"
            )
        elif indices:
            table.rows.append(Row(number, tuple(values[index] for index in indices)))
    return table


READERS: dict[str, Callable[[Path, tuple[str, ...], int | None], Table]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
}
"""The reader of each suffix. Its last argument limits what a file may unfold to, in bytes."""


def _csv_rows(text: str, malformed: list[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Return the rows that are not empty, each with the number of its first line."""
    rows = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    limit = csv.field_size_limit(sys.maxsize)  # The default refuses texts above 128 KiB.
    start = 1
    try:
        for values in reader:
            if values:
                rows.append((start, tuple(values)))
            start = reader.line_num + 1
    except csv.Error as error:
        malformed.append(f"line {start}: {error}; the rest of the file was not read")
    finally:
        csv.field_size_limit(limit)
    return rows
