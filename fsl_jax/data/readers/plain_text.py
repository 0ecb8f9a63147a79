"""Read plain text: a text on each line."""

from pathlib import Path

from fsl_jax.data.readers.conll import conll_rows, looks_like_conll
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.text_lines import numbered_lines, read_text
from fsl_jax.data.rows import Row, Rows

COLUMN = "text"


def read_plain_text(path: Path, options: ReadOptions | None = None) -> Rows:
    """Read a text from each line that is not empty.

    A file whose lines are words with tags is read as CoNLL columns, since many of those have this
    suffix.

    Args:
      path: the file.
      options: its encoding, or that it is to be found out.

    Returns:
      The rows, with the column `text`.

    Raises:
      InputError: there is no such file, or it unfolds to more than it may.
    """
    rows = Rows(path.name, unit="line")
    text = read_text(path, options or ReadOptions(), rows)
    if text is None:
        return rows
    if looks_like_conll(text):
        rows.remarks.append(f"{path.name} was read as CoNLL columns: a word and its tag on a line.")
        return conll_rows(text, rows)
    rows.rows = [
        Row(number, {COLUMN: line.strip()})
        for number, line in numbered_lines(text, rows)
        if line.strip()
    ]
    rows.columns = (COLUMN,) if rows.rows else ()
    return rows
