"""Read labelled texts from local files."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fsl_jax.data.directories import is_known, part_files, unknown_suffix
from fsl_jax.data.examples import Example
from fsl_jax.data.file_formats import READERS
from fsl_jax.data.table import SHOWN, Table, shortened
from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import is_plain_file
from fsl_jax.models.tokenizing import character_problem


@dataclasses.dataclass(frozen=True)
class LocalParts:
    """The examples of a directory or a file; `test` is None where there is no part for it."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...] | None


def read_local(
    path: Path, text_column: str, label_column: str, max_unfolded: int | None = None
) -> LocalParts:
    """Read a directory in one of the layouts of `directories`, or one file.

    Args:
      path: the directory, or the file.
      text_column: the name of the column with the texts.
      label_column: the name of the column with the labels.
      max_unfolded: the largest size to which a compressed file may unfold, in bytes; by default it
        follows from the file's size.

    Returns:
      The examples, in the order of the files. White space around texts and labels is removed.
      Integer labels become decimal strings; booleans become "true" and "false".

    Raises:
      InputError: a file is missing or unfolds to more, or rows cannot be used; the error lists all
        problems of all files.
    """
    if text_column == label_column:
        raise InputError(
            f"text_column and label_column are both {text_column!r}: name two columns."
        )
    files = part_files(path) if path.is_dir() else {"train": (path,)}
    problems: list[str] = []
    parts: dict[str, tuple[Example, ...]] = {}
    columns = (text_column, label_column)
    for part, part_paths in files.items():
        tables = [_read_file(file, columns, max_unfolded) for file in part_paths]
        parts[part] = tuple(
            example for table in tables for example in _examples(table, *columns, problems)
        )
    if problems:
        raise problems_error(
            f"{path} cannot be used as it is. Correct these and try again:", problems
        )
    return LocalParts(parts["train"], parts.get("validation", ()), parts.get("test"))


def _read_file(file: Path, columns: tuple[str, str], max_unfolded: int | None) -> Table:
    if not is_known(file):
        raise InputError(unknown_suffix(file))
    if not is_plain_file(file):
        raise InputError(f"{file}: there is no such file, or it is not a plain file")
    return READERS[file.suffix.lower()](file, columns, max_unfolded)


def _examples(
    table: Table, text_column: str, label_column: str, problems: list[str]
) -> tuple[Example, ...]:
    """Turn the rows into examples; append problems to `problems`."""
    name = table.path.name
    problems += [f"{name}, {description}" for description in table.malformed[:SHOWN]]
    if len(table.malformed) > SHOWN:
        problems.append(f"{name}: {len(table.malformed) - SHOWN} more {table.unit}s like these")
    if not table.columns and not table.rows:
        if not table.malformed:
            problems.append(f"{name} is empty")
        return ()
    for column in (text_column, label_column):
        if (count := table.columns.count(column)) != 1:
            problems.append(
                f"{name} has {'more than one' if count else 'no'} column {column!r}; its columns "
                f"are {shortened(map(repr, table.columns))} (text_column and label_column choose)"
            )
    if table.has((text_column, label_column)) and not table.rows and not table.malformed:
        problems.append(f"{name} has columns and no rows")
    return _usable(table, text_column, label_column, problems)


def _usable(
    table: Table, text_column: str, label_column: str, problems: list[str]
) -> tuple[Example, ...]:
    """Return the rows without problems as examples; append problems to `problems`."""
    numbers_by_problem = defaultdict(list)
    examples = []
    for row in table.rows:
        text, label = row.values
        row_problems = [
            *(f"{problem} in column {text_column!r}" for problem in _text_problems(text)),
            *(f"{problem} in column {label_column!r}" for problem in _label_problems(label)),
        ]
        for problem in row_problems:
            numbers_by_problem[problem].append(row.number)
        if not row_problems:
            examples.append(Example(text.strip(), _label(label)))
    problems += [
        f"{table.path.name}: {problem}, {table.unit} {shortened(numbers)}"
        for problem, numbers in numbers_by_problem.items()
    ]
    return tuple(examples)


def _text_problems(text: Any) -> Sequence[str]:
    if text is None:
        return ["no text"]
    if not isinstance(text, str):
        return [f"{type(text).__name__} instead of text"]
    if not text.strip():
        return ["empty text"]
    return _encoding_problems(text)


def _label_problems(label: Any) -> Sequence[str]:
    if label is None or (isinstance(label, str) and not label.strip()):
        return ["no label"]
    if not isinstance(label, str | int):
        return [f"{type(label).__name__} instead of a label (text, integer or boolean)"]
    return _encoding_problems(label) if isinstance(label, str) else ()


def _encoding_problems(text: str) -> Sequence[str]:
    # Without the position, so that all rows with this problem are named in one line.
    return ["half a surrogate pair, which is no character,"] if character_problem(text) else []


def _label(label: str | int) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label).strip()
