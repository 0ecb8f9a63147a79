"""Read labelled texts from local files."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fsl_jax.data.examples import Example
from fsl_jax.data.file_formats import READERS, SHOWN, Table, shortened
from fsl_jax.errors import InputError, problems_error

PARTS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class LocalParts:
    """The examples of a directory or a file; `test` is None for a single file."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...] | None


def read_local(path: Path, text_column: str, label_column: str) -> LocalParts:
    """Read a directory with `train.*`, `test.*` and optionally `validation.*`, or one file.

    Args:
      path: the directory, or the file.
      text_column: the name of the column with the texts.
      label_column: the name of the column with the labels.

    Returns:
      The examples, in the order of the files. White space around texts and labels is removed.
      Integer labels become decimal strings; booleans become "true" and "false".

    Raises:
      InputError: a file is missing, or rows cannot be used; the error lists all problems of all
        files.
    """
    if text_column == label_column:
        raise InputError(
            f"text_column and label_column are both {text_column!r}: name two columns."
        )
    files = _part_files(path) if path.is_dir() else {"train": path}
    problems: list[str] = []
    parts = {}
    for part, file in files.items():
        if not _known(file):
            raise InputError(_unknown_suffix(file))
        table = READERS[file.suffix.lower()](file, (text_column, label_column))
        parts[part] = _examples(table, text_column, label_column, problems)
    if problems:
        raise problems_error(
            f"{path} cannot be used as it is. Correct these and try again:", problems
        )
    if not path.is_dir():
        return LocalParts(parts["train"], (), None)
    return LocalParts(parts["train"], parts.get("validation", ()), parts["test"])


def _part_files(directory: Path) -> dict[str, Path]:
    files = defaultdict(list)
    for file in sorted(directory.iterdir()):
        if file.is_file():
            files[file.name.partition(".")[0]].append(file)
    problems = [f"there is no {part}.*" for part in ("train", "test") if not files[part]]
    for part in PARTS:
        if len(files[part]) > 1:
            names = " and ".join(file.name for file in files[part])
            problems.append(f"there is more than one {part}.*: {names}; keep one")
    problems += [
        _unknown_suffix(file) for part in PARTS for file in files[part] if not _known(file)
    ]
    if problems:
        raise problems_error(
            f"{directory} is no data set: a directory needs train.*, test.* and perhaps "
            f"validation.* in {_formats()}. To use a single file, name the file.",
            problems,
        )
    return {part: files[part][0] for part in PARTS if files[part]}


def _known(file: Path) -> bool:
    return file.suffix.lower() in READERS


def _unknown_suffix(file: Path) -> str:
    return f"{file.name} has the suffix {file.suffix!r}: what can be read is {_formats()}"


def _formats() -> str:
    return ", ".join(READERS)


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
    try:
        text.encode()
    except UnicodeEncodeError:
        return ["half a surrogate pair, which is no character,"]
    return ()


def _label(label: str | int) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label).strip()
