"""JSON Lines files of records: checked when made, strict when read, same bytes for same values."""

import dataclasses
import json
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from etils import epath

from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import write_atomically

RecordType = TypeVar("RecordType", bound="Record")


@dataclasses.dataclass(frozen=True)
class Record:
    """One line of a JSON Lines file; a subclass is a frozen dataclass whose fields are JSON values.

    Making one checks every field against its annotation and brings it into one form: whole numbers
    given for a `float` become floats, lists become tuples where the annotation says tuple, scalars
    of NumPy become those of Python. So equal records have equal lines, and a line read back equals
    the record that was written. Numbers are finite; what is unknown is None.
    """

    def __post_init__(self) -> None:
        for name, value in _conform_fields(type(self), vars(self)).items():
            object.__setattr__(self, name, value)
        found = self.contradictions()
        if found:
            raise InputError("; ".join(found))

    def contradictions(self) -> list[str]:
        """What cannot be true of the fields together, once each is of its kind; a line each."""
        return []

    def line(self) -> str:
        """The record as JSON on one line: fields in their fixed order, keys inside them sorted."""
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return (
            "{"
            + ", ".join(f"{json.dumps(name)}: {canonical_json(value)}" for name, value in fields)
            + "}"
        )


def write_records(path: epath.PathLike, records: Iterable[Record]) -> None:
    """Replaces a JSON Lines file by these records, one a line, all or nothing.

    Args:
      path: the file; its directory exists.
      records: the lines, in their order.

    Raises:
      OSError: the file could not be written; what was there before is untouched.
    """
    write_atomically(path, "".join(record.line() + "\n" for record in records))


def read_records(path: epath.PathLike, kind: type[RecordType]) -> tuple[RecordType, ...]:
    """Reads a JSON Lines file back, and takes nothing that `write_records` would not have written.

    Args:
      path: the file.
      kind: the class of the records.

    Returns:
      The records in the order of their lines.

    Raises:
      InputError: some lines are not such records; names every one of them by number.
      FileNotFoundError: there is no such file.
    """
    records, found = [], []
    for number, line in enumerate(epath.Path(path).read_text().splitlines(), start=1):
        try:
            records.append(_parse(line, kind))
        except ValueError as error:
            found.append(f"line {number}: {error}")
    if found:
        raise problems_error(
            f"{path} has lines that are no {kind.__name__}; mend or remove them:", found
        )
    return tuple(records)


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: a line of ASCII, keys sorted, floats that read back.

    Args:
      value: made of what JSON has; floats are finite.

    Returns:
      The text.

    Raises:
      ValueError: a float is not finite.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _parse(line: str, kind: type[RecordType]) -> RecordType:
    values = json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    if not isinstance(values, dict):
        raise ValueError(f"expected a JSON object, found {_brief(values)}")
    names = [field.name for field in dataclasses.fields(kind)]
    missing = [name for name in names if name not in values]
    unexpected = [name for name in values if name not in names]
    if missing or unexpected:
        texts = {"missing": missing, "unexpected": unexpected}
        raise ValueError("; ".join(f"{what}: {', '.join(x)}" for what, x in texts.items() if x))
    return kind(**_conform_fields(kind, values))


def _conform_fields(kind: type[Record], values: Mapping[str, Any]) -> dict[str, Any]:
    """Every field in the form that its annotation allows, or an error with all that cannot be."""
    conformed, found = {}, []
    for name, hint in typing.get_type_hints(kind).items():
        try:
            conformed[name] = _conform(values[name], hint)
        except ValueError as error:
            found.append(f"{name}: {error}")
    if found:
        raise InputError("; ".join(found))
    return conformed


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return values


def _conform(value: Any, kind: Any) -> Any:
    """The value in the one form that its annotation allows, or a ValueError that says why not."""
    if kind is Any:
        return _conform_json(value)
    if isinstance(kind, types.UnionType):
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        return None if value is None else _conform(value, options[0])
    if typing.get_origin(kind) is dict:
        return {name: _conform(item, typing.get_args(kind)[1]) for name, item in _items(value)}
    if typing.get_origin(kind) is tuple:
        return tuple(_conform(item, typing.get_args(kind)[0]) for item in _sequence(value))
    if hasattr(kind, "_fields"):
        return _conform_named_tuple(value, kind)
    return _SCALARS[kind](value)


def _conform_named_tuple(value: Any, kind: Any) -> Any:
    items, hints = _sequence(value), typing.get_type_hints(kind)
    if len(items) != len(hints):
        raise ValueError(f"expected [{', '.join(hints)}], found {_brief(value)}")
    return kind(*(_conform(item, hint) for item, hint in zip(items, hints.values(), strict=True)))


def _conform_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _conform_json(item) for name, item in _items(value)}
    if isinstance(value, list | tuple):
        return [_conform_json(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    return _whole(value) if hasattr(value, "__index__") else _number(value)


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"expected an object with names for keys, found {_brief(value)}")
    return value.items()


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list, found {_brief(value)}")
    return list(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, found {_brief(value)}")
    return str(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {_brief(value)}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"expected a whole number, found {_brief(value)}")
    return operator.index(value)


def _number(value: Any) -> float:
    if isinstance(value, bool | str) or not hasattr(value, "__float__"):
        raise ValueError(f"expected a number, found {_brief(value)}")
    if not math.isfinite(float(value)):
        raise ValueError(f"expected a finite number (null where there is none), found {value}")
    return float(value)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_SCALARS: dict[Any, Callable[[Any], Any]] = {str: _text, bool: _truth, int: _whole, float: _number}
