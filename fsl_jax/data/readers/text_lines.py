"""Read the lines of a text file."""

from collections.abc import Iterator
from pathlib import Path

from fsl_jax.data.readers.contents import read_contents
from fsl_jax.data.readers.encodings import decode
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.rows import Rows

LONGEST_LINE = 8 << 20
"""The largest number of characters in a line or a row; a novel has fewer."""


def read_text(path: Path, options: ReadOptions, rows: Rows) -> str | None:
    """Return the text of a file, and note in `rows` what was found out or went wrong.

    Args:
      path: the file.
      options: the encoding, or that it is to be found out.
      rows: gets a remark on an encoding that was found out and is not UTF-8; and what is malformed.

    Returns:
      The text, with a line feed at the end of each line; None if it could not be decoded.

    Raises:
      InputError: there is no such file, or it unfolds to more than it may.
    """
    content = read_contents(path, options.max_unfolded)
    try:
        text, encoding = decode(content, options.encoding)
    except ValueError as error:
        rows.malformed.append(str(error))
        return None
    if options.encoding is None and encoding != "utf-8":
        rows.remarks.append(f"{rows.source} was read as {encoding}; encoding chooses another.")
    return text.replace("\r\n", "\n")


def numbered_lines(text: str, rows: Rows) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text with their numbers from 1.

    Lines end at line feeds only, since characters such as U+2028 may stand inside a text. Lines
    that are too long, or have null characters, are left out and noted as malformed.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if problem := line_problem(line):
            rows.malformed.append(f"line {number}: {problem}")
        else:
            yield number, line


def line_problem(line: str) -> str | None:
    """Describe what makes a line unusable; None if nothing does."""
    if len(line) > LONGEST_LINE:
        return (
            f"it has {len(line):,} characters, and at most {LONGEST_LINE:,} are read: do line ends "
            "miss?"
        )
    return "it has a null character, which no text has" if "\0" in line else None
