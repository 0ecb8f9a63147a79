"""Read CSV and TSV files with the standard library, which keeps texts such as "NA" and "null"."""

import csv
import dataclasses
import io
import sys
from collections import Counter
from pathlib import Path

from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.separators import NAMES, found_separator
from fsl_jax.data.readers.text_lines import line_problem, read_text
from fsl_jax.data.rows import Row, Rows


def read_csv(path: Path, options: ReadOptions | None = None) -> Rows:
    """Read separated values with a header (RFC 4180); empty lines are skipped.

    Args:
      path: the file.
      options: its separator and encoding, or that they are to be found out.

    Returns:
      The rows, whose values are texts. A column that is there twice is in no row. Rows with too
      many or too few values are in `malformed`. So is the line at which reading had to stop because
      of an unclosed quote or bytes that could not be decoded.

    Raises:
      InputError: there is no such file, or it unfolds to more than it may.
    """
    return _read(path, options or ReadOptions(), ",")


def read_tsv(path: Path, options: ReadOptions | None = None) -> Rows:
    """Read values between tabs as `read_csv` does.

    Quotes are ordinary characters if the file has broken rows otherwise, since many programs write
    such files without them.
    """
    return _read(path, options or ReadOptions(), "\t")


def _read(path: Path, options: ReadOptions, usual: str) -> Rows:
    rows = Rows(path.name, unit="line")
    text = read_text(path, options, rows)
    if text is None:
        return rows
    separator = options.separator_character or found_separator(text, usual)
    if options.separator is None and separator != usual:
        rows.remarks.append(
            f"The values of {path.name} are separated by {NAMES[separator]}s; separator chooses "
            "another character."
        )
    parsed = _parsed(text, separator, quotes=True)
    if parsed.problems and separator == "\t":
        without = _parsed(text, separator, quotes=False)
        if not without.problems:
            parsed = without
            rows.remarks.append(f"Quotes in {path.name} are ordinary characters.")
    rows.columns = parsed.header
    rows.rows = parsed.rows
    rows.malformed += parsed.problems
    return rows


@dataclasses.dataclass
class _Parsed:
    """The rows that one way to read a file gives, and its problems."""

    header: tuple[str, ...] = ()
    rows: list[Row] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)


def _parsed(text: str, separator: str, quotes: bool) -> _Parsed:
    parsed = _Parsed()
    single: list[str] = []
    for number, values in _lines(text, separator, quotes, parsed.problems):
        if problem := next(filter(None, map(line_problem, values)), None):
            parsed.problems.append(f"line {number}: {problem}")
        elif not parsed.header:
            parsed.header = tuple(values)
            counts = Counter(values)
            single = [name for name in values if counts[name] == 1]
        elif len(values) != len(parsed.header):
            parsed.problems.append(
                f"line {number}: {len(values)} values where the header has {len(parsed.header)}"
            )
        else:
            named = dict(zip(parsed.header, values, strict=True))
            parsed.rows.append(Row(number, {name: named[name] for name in single}))
    return parsed


def _lines(
    text: str, separator: str, quotes: bool, problems: list[str]
) -> list[tuple[int, list[str]]]:
    """Return the values of rows that are not empty, each with the number of its first line."""
    lines = []
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    limit = csv.field_size_limit(sys.maxsize)  # The default refuses texts above 128 KiB.
    start = 1
    try:
        for values in reader:
            if values:
                lines.append((start, values))
            start = reader.line_num + 1
    except csv.Error as error:
        problems.append(f"line {start}: {error}; the rest of the file was not read")
    finally:
        csv.field_size_limit(limit)
    return lines
