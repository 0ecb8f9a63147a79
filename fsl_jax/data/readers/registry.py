"""The registry of formats: the reader of each suffix."""

from collections.abc import Callable
from pathlib import Path

from fsl_jax.data.readers.arrow_tables import read_arrow, read_parquet
from fsl_jax.data.readers.conll import read_conll
from fsl_jax.data.readers.contents import COMPRESSED
from fsl_jax.data.readers.delimited import read_csv, read_tsv
from fsl_jax.data.readers.excel import read_excel
from fsl_jax.data.readers.json_rows import read_json_rows
from fsl_jax.data.readers.jsonl import read_jsonl
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.plain_text import read_plain_text
from fsl_jax.data.rows import Rows
from fsl_jax.errors import InputError
from fsl_jax.files import is_plain_file

Reader = Callable[[Path, ReadOptions], Rows]

READERS: dict[str, Reader] = {
    ".jsonl": read_jsonl,
    ".json": read_json_rows,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".txt": read_plain_text,
    ".conll": read_conll,
    ".bio": read_conll,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".xlsx": read_excel,
}
"""The reader of each suffix."""

BINARY = (".parquet", ".arrow", ".xlsx")
"""The suffixes of formats that compress their values themselves."""


def read_file(path: Path, options: ReadOptions) -> Rows:
    """Read a file in the format that its suffix tells.

    Args:
      path: the file.
      options: how to read it.

    Returns:
      Its rows; an empty file has a description of that in `malformed`.

    Raises:
      InputError: there is no such file, its suffix has no reader, or it unfolds to more than it
        may.
    """
    if not is_known(path):
        raise InputError(unknown_suffix(path))
    if not is_plain_file(path):
        raise InputError(f"{path}: there is no such file, or it is not a plain file")
    rows = READERS[format_suffix(path)](path, options)
    if not rows.columns and not rows.rows and not rows.malformed:
        rows.malformed.append("the file is empty")
    return rows


def format_suffix(path: Path) -> str:
    """Return the suffix that tells the format: that before `.gz` in a compressed file."""
    suffix = path.suffix.lower()
    return path.with_suffix("").suffix.lower() if suffix == COMPRESSED else suffix


def is_known(path: Path) -> bool:
    """Return True if a file's suffix has a reader."""
    suffix = format_suffix(path)
    return suffix in READERS and not (suffix in BINARY and suffix != path.suffix.lower())


def unknown_suffix(path: Path) -> str:
    """Describe the problem of a file without a reader."""
    return f"{path.name} has the suffix {path.suffix!r}: what can be read is {formats()}"


def formats() -> str:
    """List the suffixes that can be read."""
    return f"{', '.join(READERS)}, and text formats with {COMPRESSED} behind"
