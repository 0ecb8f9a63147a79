"""JSON files in which any changed bit is noticed.

The last line of a sealed file is the SHA-256 of all bytes before that line, and the first line says
so. Both lines mark the file as sealed. So a change inside one of them cannot make it look like a
file that was never sealed. The file is still JSON that people and other programs can read.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.files import write_atomically
from fsl_jax.json_reader import parse_json

_NOTE, _SEAL = "sealed", "seal"
_NOTE_TEXT = "the last line is the SHA-256 of all bytes before that line"


def write_sealed(path: epath.PathLike, values: Mapping[str, Any]) -> None:
    """Write values as a sealed JSON file, completely or not at all.

    Args:
      path: the file, which is replaced if it exists.
      values: as in `encode_sealed`.

    Raises:
      OSError: the file could not be written; the old file is not changed.
    """
    write_atomically(path, encode_sealed(values))


def encode_sealed(values: Mapping[str, Any]) -> bytes:
    """Return values as the contents of a sealed JSON file.

    Args:
      values: JSON values by name, in the order in which they are to be written. The names "sealed"
        and "seal" are reserved.

    Returns:
      The contents of the file.

    Raises:
      ValueError: a name is reserved, or a number is NaN or infinite.
    """
    if reserved := values.keys() & {_NOTE, _SEAL}:
        raise ValueError(f"the names {sorted(reserved)} are reserved for the seal")
    text = json.dumps({_NOTE: _NOTE_TEXT, **values}, indent=2, ensure_ascii=False, allow_nan=False)
    # Half a surrogate pair has no UTF-8, and its escape is the one that JSON has for it.
    content = (text.removesuffix("\n}") + ",\n").encode(errors="backslashreplace")
    return content + _last_lines(content)


def decode_sealed(
    data: bytes, source: object, advice: str, *, required: bool = True
) -> dict[str, Any]:
    """Return the values in the contents of a sealed JSON file.

    Args:
      data: the contents.
      source: the file, for the error.
      advice: the end of the error's message: a sentence that says what to do.
      required: False to accept a file that never had a seal, as earlier versions wrote it.

    Returns:
      The values, without the lines of the seal.

    Raises:
      InputError: the contents are no JSON object, have changed since they were written, or have no
        seal although one is required.
    """
    try:
        values: dict[str, Any] = parse_json(data, source)
    except InputError as error:
        raise InputError(f"{error}. {advice}") from error
    if not values.keys() & {_NOTE, _SEAL}:
        if required:
            raise InputError(f"{source}: it has no seal, which this version writes. {advice}")
        return values
    content = data[: -len(_last_lines(b""))]
    if data != content + _last_lines(content):
        raise InputError(
            f"{source}: damaged; its contents have changed since they were written. {advice}"
        )
    return {name: value for name, value in values.items() if name not in (_NOTE, _SEAL)}


def _last_lines(content: bytes) -> bytes:
    return f'  "{_SEAL}": "{hashlib.sha256(content).hexdigest()}"\n}}\n'.encode()
