"""JSON Lines files of records, which are checked when made and read, and have a canonical form."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, TypeVar

from etils import epath

from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import write_atomically
from fsl_jax.validation import brief, checked_fields

RecordType = TypeVar("RecordType", bound="Record")


@dataclasses.dataclass(frozen=True)
class Record:
    """One line of a JSON Lines file. A subclass is a frozen dataclass whose fields are JSON values.

    Creating a record checks every field against its annotation and converts it to a canonical form:
    whole numbers for a `float` become floats, lists become tuples where the annotation says tuple,
    and NumPy scalars become Python numbers. So equal records have equal lines, and a line that is
    read equals the record that was written. Numbers are finite; unknown values are None.
    """

    def __post_init__(self) -> None:
        for name, value in checked_fields(type(self), vars(self)).items():
            object.__setattr__(self, name, value)
        problems = self.contradictions()
        if problems:
            raise InputError("; ".join(problems))

    def contradictions(self) -> list[str]:
        """List the fields that contradict each other or are out of range."""
        return []

    def line(self) -> str:
        """Return the record as JSON on one line, with fields in order and sorted keys inside."""
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return (
            "{"
            + ", ".join(f"{json.dumps(name)}: {canonical_json(value)}" for name, value in fields)
            + "}"
        )


def write_records(path: epath.PathLike, records: Iterable[Record]) -> None:
    """Replace a JSON Lines file atomically with these records, one on each line.

    Args:
      path: the file; its directory exists.
      records: the lines, in their order.

    Raises:
      OSError: the file could not be written; the old file is not changed.
    """
    write_atomically(path, "".join(record.line() + "\n" for record in records))


def read_records(path: epath.PathLike, kind: type[RecordType]) -> tuple[RecordType, ...]:
    """Read a JSON Lines file that `write_records` wrote; anything else is an error.

    Args:
      path: the file.
      kind: the class of the records.

    Returns:
      The records in the order of their lines.

    Raises:
      InputError: some lines are not such records; the error names the number of every such line.
      FileNotFoundError: there is no such file.
    """
    records, problems = [], []
    for number, line in enumerate(epath.Path(path).read_text().splitlines(), start=1):
        try:
            records.append(_parse(line, kind))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems:
        raise problems_error(
            f"{path} has lines that are no {kind.__name__}; correct or remove them:", problems
        )
    return tuple(records)


def canonical_json(value: Any) -> str:
    """Return the canonical JSON of a value: one line of ASCII with sorted keys and exact floats.

    Args:
      value: a JSON value with finite floats.

    Returns:
      The text.

    Raises:
      ValueError: a float is not finite.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _parse(line: str, kind: type[RecordType]) -> RecordType:
    values = json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    if not isinstance(values, dict):
        raise ValueError(f"expected a JSON object, found {brief(values)}")
    names = [field.name for field in dataclasses.fields(kind)]
    missing = [name for name in names if name not in values]
    unexpected = [name for name in values if name not in names]
    if missing or unexpected:
        texts = {"missing": missing, "unexpected": unexpected}
        raise ValueError("; ".join(f"{what}: {', '.join(x)}" for what, x in texts.items() if x))
    return kind(**checked_fields(kind, values))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return values
