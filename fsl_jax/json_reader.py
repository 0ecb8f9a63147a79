"""Read JSON that this process did not write.

The reader is stricter than Python's: it refuses what could be read in two ways or cost more than
the file is worth. That is a name given twice, `NaN` and `Infinity`, numbers beyond 64 bits, values
nested more deeply than `MAX_DEPTH`, and files above a size.
"""

import collections
import json
import math
from typing import Any

from etils import epath

from fsl_jax.errors import InputError, brief
from fsl_jax.files import read_bounded

MAX_BYTES = 64 << 20
"""The largest file that is read; the tokenizer of Gemma 3 takes half of it."""

MAX_DEPTH = 64
"""The largest number of objects and lists inside each other."""

_KINDS: dict[Any, str] = {dict: "an object", list: "a list"}


def read_json(path: epath.PathLike, kind: type = dict, max_bytes: int = MAX_BYTES) -> Any:
    """Read a JSON file.

    Args:
      path: the file.
      kind: the type of the outermost value: `dict` or `list`.
      max_bytes: the largest size to read, in bytes.

    Returns:
      The value.

    Raises:
      InputError: the file is missing, too large, or not JSON of this kind.
    """
    return parse_json(read_bounded(path, max_bytes), path, kind)


def parse_json(data: bytes | str, source: object, kind: type = dict) -> Any:
    """Parse the contents of a JSON file, or of one line of a JSON Lines file.

    Args:
      data: the contents; bytes are UTF-8.
      source: the file, for the error; with the line, if the contents are one line of it.
      kind: the type of the outermost value: `dict` or `list`.

    Returns:
      The value.

    Raises:
      InputError: the contents are not JSON of this kind.
    """
    try:
        value = _DECODER.decode(data.decode() if isinstance(data, bytes) else data)
        _require_depth(value)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not valid JSON: {_reason(error)}") from error
    if not isinstance(value, kind):
        raise InputError(f"{source}: expected {_KINDS[kind]} in JSON, found {_kind_of(value)}")
    return value


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = collections.Counter(name for name, _ in pairs)
        ((repeated, _),) = counts.most_common(1)
        raise ValueError(f"the name {brief(repeated)} is given twice in one object")
    return values


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not a number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:60]} is too large")
    return number


def _whole(text: str) -> int:
    # Comparing lengths first avoids the quadratic time of converting thousands of digits.
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**64:
        raise ValueError(f"the whole number {text[:60]} needs more than 64 bits")
    return number


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_names,
    parse_constant=_refuse_constant,
    parse_float=_finite,
    parse_int=_whole,
)


def _require_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for outer in level
            if isinstance(outer, dict | list)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"values are nested more than {MAX_DEPTH} deep")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"values are nested more than {MAX_DEPTH} deep"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    return str(error)


def _kind_of(value: Any) -> str:
    if isinstance(value, str):
        return "a text"
    return _KINDS[type(value)] if type(value) in _KINDS else json.dumps(value)
