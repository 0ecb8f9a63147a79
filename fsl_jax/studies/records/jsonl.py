"""JSON Lines files of records, which are checked when made and read, and have a canonical form."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, TypeVar

from etils import epath

from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import write_atomically
from fsl_jax.json_reader import parse_json
from fsl_jax.studies.records.hashed_files import read_hashed
from fsl_jax.validation import checked_fields

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
    write_atomically(path, encode_records(records))


def encode_records(records: Iterable[Record]) -> bytes:
    """Return the contents of a JSON Lines file with these records, one on each line."""
    return "".join(record.line() + "\n" for record in records).encode()


def read_records(path: epath.PathLike, kind: type[RecordType]) -> tuple[RecordType, ...]:
    """Read a JSON Lines file that `write_records` wrote; anything else is an error.

    Args:
      path: the file. If `hashes.json` beside it has its hash, the file must not have changed.
      kind: the class of the records.

    Returns:
      The records in the order of their lines.

    Raises:
      InputError: the file is missing or has changed, or some lines are not such records; the error
        names the number of every such line.
    """
    return parse_records(read_hashed(path), path, kind)


def parse_records(data: bytes, source: object, kind: type[RecordType]) -> tuple[RecordType, ...]:
    """Return the records in the contents of a JSON Lines file.

    Args:
      data: the contents.
      source: the file, for the error.
      kind: the class of the records.

    Returns:
      The records in the order of their lines.

    Raises:
      InputError: some lines are not such records; the error names the number of every such line.
    """
    records, problems = [], []
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n") if data else (), start=1):
        try:
            records.append(_parse(line, f"line {number}", kind))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise problems_error(
            f"{source} has lines that are no {kind.__name__}; correct or remove them:", problems
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


def _parse(line: bytes, source: str, kind: type[RecordType]) -> RecordType:
    values = parse_json(line, source)
    names, defaults = [field.name for field in dataclasses.fields(kind)], _defaults(kind)
    missing = [name for name in names if name not in values and name not in defaults]
    unexpected = [name[:60] for name in values if name not in names]
    if missing or unexpected:
        texts = {"missing": missing, "unexpected": unexpected}
        problems = (f"{what}: {', '.join(x)}" for what, x in texts.items() if x)
        raise InputError(f"{source}: {'; '.join(problems)}")
    try:
        return kind(**checked_fields(kind, defaults | values))
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _defaults(kind: type[Record]) -> dict[str, Any]:
    """Return the values of the fields that lines of earlier versions lack."""
    return {
        field.name: field.default_factory()
        for field in dataclasses.fields(kind)
        if field.default_factory is not dataclasses.MISSING
    }
