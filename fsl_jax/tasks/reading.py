"""Read the rows of all parts as examples, and say all at once what is wrong with them."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fsl_jax.data.examples import Example
from fsl_jax.data.rows import SHOWN, Parts, Row, Rows, shortened
from fsl_jax.errors import InputError
from fsl_jax.tasks.parts.row_reader import value_of
from fsl_jax.tasks.task import Columns, Task, Values

_UNMIXED = frozenset(("identity", "group"))


@dataclasses.dataclass(frozen=True)
class Place:
    """The place that an example comes from.

    Attributes:
      source: the name of the file.
      unit: the unit of the number.
      number: the line or row.
    """

    source: str
    unit: str
    number: int


@dataclasses.dataclass
class Problems:
    """The problems of rows; the rows of one file with the same problem are named in one line.

    Attributes:
      places: the numbers of rows by file, unit and problem.
      general: problems of whole files.
    """

    places: dict[tuple[str, str, str], list[int]] = dataclasses.field(
        default_factory=lambda: defaultdict(list)
    )
    general: list[str] = dataclasses.field(default_factory=list)

    def add(self, place: Place, problem: str) -> None:
        """Note a problem of a row."""
        self.places[place.source, place.unit, problem].append(place.number)

    def listed(self) -> list[str]:
        """Return all problems as sentences."""
        return self.general + [
            f"{source}: {problem}, {unit} {shortened(numbers)}"
            for (source, unit, problem), numbers in self.places.items()
        ]


@dataclasses.dataclass(frozen=True)
class ReadPart:
    """The examples of a part.

    Attributes:
      examples: the examples, in the order of the files.
      places: where each comes from.
      skipped: the number of rows without text that were passed over.
    """

    examples: tuple[Example, ...]
    places: tuple[Place, ...]
    skipped: int


def file_problems(parts: Parts) -> list[str]:
    """Describe what could not be read in files, and files without rows.

    Args:
      parts: the rows of each part.

    Returns:
      The problems; the first ten lines of each file that are malformed.
    """
    problems = []
    for file in (file for files in parts.values() for file in files):
        problems += [f"{file.source}, {description}" for description in file.malformed[:SHOWN]]
        if len(file.malformed) > SHOWN:
            more = len(file.malformed) - SHOWN
            problems.append(f"{file.source}: {more} more {file.unit}s like these")
        if not file.rows and not file.malformed:
            has = "has columns and no rows" if file.columns else "is empty"
            problems.append(f"{file.source} {has}")
    return problems


def read_part(
    task: Task,
    columns: Columns,
    files: Sequence[Rows],
    read: Callable[[Values], Example],
    problems: Problems,
    *,
    skip_empty: bool = False,
) -> ReadPart:
    """Read the rows of one part.

    Args:
      task: the task.
      columns: the columns of its roles.
      files: the files of the part.
      read: reads a row, see `Task.reader`.
      problems: gets all that is wrong.
      skip_empty: True to pass over rows without text.

    Returns:
      The examples of the rows that can be read.
    """
    examples: list[Example] = []
    places: list[Place] = []
    kinds: list[tuple[str, ...]] = []
    names = [c for role, of in columns.items() if role not in _UNMIXED for c in of]
    skipped = 0
    for file in files:
        if not file.rows or not _has_columns(file, columns, problems):
            continue
        for row in file.rows:
            if skip_empty and _is_empty(task, columns, row.values):
                skipped += 1
                continue
            place = Place(file.source, file.unit, row.number)
            example = _read(read, row, place, problems)
            if example is not None:
                examples.append(example)
                places.append(place)
                kinds.append(tuple(_kind(value_of(row.values, name)) for name in names))
    _find_mixed(names, kinds, places, problems)
    _find_repeated(columns, examples, places, problems)
    return ReadPart(tuple(examples), tuple(places), skipped)


def _has_columns(file: Rows, columns: Columns, problems: Problems) -> bool:
    found = True
    for column in (column for of in columns.values() for column in of):
        count = file.columns.count(column)
        if not count and "." in column:
            count = file.columns.count(column.partition(".")[0])
        if count != 1:
            found = False
            problems.general.append(
                f"{file.source} has {'more than one' if count else 'no'} column {column!r}; its "
                f"columns are {shortened(map(repr, file.columns))} (`columns` chooses)"
            )
    return found


def _is_empty(task: Task, columns: Columns, row: Values) -> bool:
    values = [value_of(row, column) for role in task.texts for column in columns.get(role, ())]
    return any(
        value in (None, []) or (isinstance(value, str) and not value.strip()) for value in values
    )


def _read(
    read: Callable[[Values], Example], row: Row, place: Place, problems: Problems
) -> Example | None:
    try:
        return read(row.values)
    except InputError as error:
        for problem in error.problems or (str(error),):
            problems.add(place, problem)
        return None


def _find_mixed(
    names: Sequence[str],
    kinds: Sequence[tuple[str, ...]],
    places: Sequence[Place],
    problems: Problems,
) -> None:
    """Note the rows whose values are of another kind than those of most rows."""
    for number, name in enumerate(names):
        counts = Counter(kind[number] for kind in kinds if kind[number])
        if len(counts) < 2:
            continue
        usual = counts.most_common(1)[0][0]
        for place, kind in zip(places, kinds, strict=True):
            if kind[number] not in ("", usual):
                found = f"{kind[number]} where most rows have {usual}"
                problems.add(place, f"{found} in column {name!r}")


def _find_repeated(
    columns: Columns, examples: Sequence[Example], places: Sequence[Place], problems: Problems
) -> None:
    """Note the rows that have the identifier of another row, and are not the same."""
    first: dict[str, Example] = {}
    for example, place in zip(examples, places, strict=True):
        if example.identity and first.setdefault(example.identity, example) != example:
            problems.add(place, f"the id of another row in column {columns['identity'][0]!r}")


def _kind(value: Any) -> str:
    """Return what kind of value it is; empty for a missing one."""
    for kind, name in _kinds():
        if isinstance(value, kind):
            return name
    return "" if value is None else "an object"


def _kinds() -> Iterator[tuple[type | tuple[type, ...], str]]:
    # A boolean is also an integer, so it comes first.
    yield bool, "true or false"
    yield str, "text"
    yield (int, float), "a number"
    yield (list, tuple), "a list"
