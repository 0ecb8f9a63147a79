"""Read the bytes of a file, which gzip may have compressed."""

import gzip
import zlib
from pathlib import Path

from fsl_jax.errors import InputError
from fsl_jax.files import is_plain_file

COMPRESSED = ".gz"
"""The suffix of a compressed file, behind that of its format: `train.jsonl.gz`."""

UNFOLDED = 20
"""The largest size of the values, as a multiple of the file's size; real texts stay below 10."""

ALWAYS_READ = 128 << 20
"""The size of the values that is read from a file however small, in bytes."""


def most_bytes(path: Path, max_unfolded: int | None) -> int:
    """Return the size to which a compressed file may unfold, in bytes."""
    return max_unfolded or max(ALWAYS_READ, UNFOLDED * path.stat().st_size)


def too_large(path: Path, max_bytes: int) -> InputError:
    """Return the error for a file that unfolds to more than it may."""
    return InputError(
        f"{path} has {path.stat().st_size:,} bytes and unfolds to more than {max_bytes:,}. If you "
        "trust it, allow more: --max_unfolded_gib, or max_unfolded in Python."
    )


def read_contents(path: Path, max_unfolded: int | None) -> bytes:
    """Return the contents of a file, unfolded if its suffix says that it is compressed.

    Args:
      path: the file.
      max_unfolded: the largest size to which it may unfold, in bytes; None lets it follow from the
        file's size.

    Returns:
      The bytes.

    Raises:
      InputError: there is no such file, it cannot be read, is damaged, or unfolds to more.
    """
    if not is_plain_file(path):
        raise InputError(f"{path}: there is no such file, or it is not a plain file")
    try:
        if path.suffix.lower() != COMPRESSED:
            return path.read_bytes()
        limit = most_bytes(path, max_unfolded)
        with gzip.open(path) as file:
            content = file.read(limit + 1)
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if len(content) > limit:
        raise too_large(path, limit)
    return content
