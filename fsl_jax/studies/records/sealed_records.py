"""JSON Lines files that end with their hash, so that changed bits and lost lines are noticed."""

import hashlib
from collections.abc import Iterable

from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.files import read_bounded, write_atomically
from fsl_jax.studies.records.hashed_files import MAX_BYTES
from fsl_jax.studies.records.jsonl import Record, RecordType, encode_records, parse_records


def write_sealed_records(path: epath.PathLike, records: Iterable[Record]) -> None:
    """Replace a file atomically with these records, and with the hash of their lines at the end.

    Args:
      path: the file; missing parent directories are created.
      records: the lines, in their order.

    Raises:
      OSError: the file could not be written; the old file is not changed.
    """
    lines = encode_records(records)
    write_atomically(path, lines + _last_line(lines))


def read_sealed_records(
    path: epath.PathLike, kind: type[RecordType], advice: str
) -> tuple[RecordType, ...]:
    """Read a file that `write_sealed_records` wrote.

    Args:
      path: the file.
      kind: the class of the records.
      advice: the end of the error's message: a sentence that says what to do.

    Returns:
      The records in the order of their lines.

    Raises:
      InputError: the file is missing or has changed since it was written.
    """
    return decode_sealed_records(read_bounded(path, MAX_BYTES), path, kind, advice)


def decode_sealed_records(
    data: bytes, source: object, kind: type[RecordType], advice: str
) -> tuple[RecordType, ...]:
    """Return the records in the contents of a file that `write_sealed_records` wrote.

    Args:
      data: the contents.
      source: the file, for the error.
      kind: as in `read_sealed_records`, like `advice`.
      advice: see there.

    Returns:
      The records in the order of their lines.

    Raises:
      InputError: the contents have changed since they were written.
    """
    lines = data[: -len(_last_line(b""))]
    if data != lines + _last_line(lines):
        raise InputError(f"{source}: damaged; it has changed since it was written. {advice}")
    return parse_records(lines, source, kind)


def _last_line(lines: bytes) -> bytes:
    return f'{{"sha256": "{hashlib.sha256(lines).hexdigest()}"}}\n'.encode()
