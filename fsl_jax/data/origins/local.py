"""Read the parts of a data set from a local file or folder."""

from collections.abc import Sequence
from pathlib import Path

from fsl_jax.data.origins.directories import part_files
from fsl_jax.data.origins.limits import limit_remark
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.registry import read_file
from fsl_jax.data.rows import Parts, Rows


def local_parts(path: Path, options: ReadOptions) -> Parts:
    """Read a folder in one of the layouts of `directories`, or one file.

    Args:
      path: the folder, or the file.
      options: how to read it.

    Returns:
      The rows of each file by part; a single file is the part "train".

    Raises:
      InputError: a file is missing, has an unknown suffix or unfolds to more than it may.
    """
    files = part_files(path) if path.is_dir() else {"train": (path,)}
    return {
        part: _first_rows([read_file(file, options) for file in each], options.max_rows)
        for part, each in files.items()
    }


def _first_rows(files: Sequence[Rows], limit: int | None) -> tuple[Rows, ...]:
    """Drop the rows beyond a limit on all files of a part together."""
    left = sum(len(rows.rows) for rows in files) if limit is None else limit
    for rows in files:
        if len(rows.rows) > left:
            rows.remarks.append(limit_remark(rows.source, left))
            del rows.rows[left:]
        left -= len(rows.rows)
    return tuple(files)
