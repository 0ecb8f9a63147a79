"""Labelled texts from the user's own files."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fsl_jax.data.examples import Example
from fsl_jax.data.file_formats import READERS, SHOWN, Table, listed
from fsl_jax.errors import InputError, problems_error

PARTS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class LocalParts:
    """The rows of a directory or a file; `test` is None where a single file names none."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...] | None


def read_local(path: Path, text_column: str, label_column: str) -> LocalParts:
    """Reads a directory with `train.*`, `test.*` and perhaps `validation.*`, or one file.

    Args:
      path: the directory, or the file.
      text_column: the name of the column with the texts.
      label_column: the name of the column with the labels.

    Returns:
      The rows, in the order of the files. Whitespace around texts and labels is gone; labels that
      are integers are their decimal string, booleans are "true" and "false".

    Raises:
      InputError: a file is missing, or something in the files cannot be used; all that is wrong
        with all of them is said at once.
    """
    if text_column == label_column:
        raise InputError(
            f"text_column and label_column are both {text_column!r}: name two columns."
        )
    files = _part_files(path) if path.is_dir() else {"train": path}
    found: list[str] = []
    parts = {}
    for part, file in files.items():
        if not _known(file):
            raise InputError(_unknown_suffix(file))
        table = READERS[file.suffix.lower()](file, (text_column, label_column))
        parts[part] = _examples(table, text_column, label_column, found)
    if found:
        raise problems_error(f"{path} cannot be used as it is. Mend these and try again:", found)
    if not path.is_dir():
        return LocalParts(parts["train"], (), None)
    return LocalParts(parts["train"], parts.get("validation", ()), parts["test"])


def _part_files(directory: Path) -> dict[str, Path]:
    files = defaultdict(list)
    for file in sorted(directory.iterdir()):
        if file.is_file():
            files[file.name.partition(".")[0]].append(file)
    found = [f"there is no {part}.*" for part in ("train", "test") if not files[part]]
    for part in PARTS:
        if len(files[part]) > 1:
            names = " and ".join(file.name for file in files[part])
            found.append(f"there is more than one {part}.*: {names}; keep one")
    found += [_unknown_suffix(file) for part in PARTS for file in files[part] if not _known(file)]
    if found:
        raise problems_error(
            f"{directory} is no data set: a directory needs train.*, test.* and perhaps "
            f"validation.* in {_formats()}. To use a single file, name the file.",
            found,
        )
    return {part: files[part][0] for part in PARTS if files[part]}


def _known(file: Path) -> bool:
    return file.suffix.lower() in READERS


def _unknown_suffix(file: Path) -> str:
    return f"{file.name} has the suffix {file.suffix!r}: what can be read is {_formats()}"


def _formats() -> str:
    return ", ".join(READERS)


def _examples(
    table: Table, text_column: str, label_column: str, found: list[str]
) -> tuple[Example, ...]:
    """The rows as examples; what is wrong with them is added to `found`."""
    name = table.path.name
    found += [f"{name}, {place}" for place in table.malformed[:SHOWN]]
    if len(table.malformed) > SHOWN:
        found.append(f"{name}: {len(table.malformed) - SHOWN} more {table.unit}s like these")
    if not table.columns and not table.rows:
        if not table.malformed:
            found.append(f"{name} is empty")
        return ()
    for column in (text_column, label_column):
        if (count := table.columns.count(column)) != 1:
            found.append(
                f"{name} has {'more than one' if count else 'no'} column {column!r}; its columns "
                f"are {listed(map(repr, table.columns))} (text_column and label_column choose)"
            )
    if table.has((text_column, label_column)) and not table.rows and not table.malformed:
        found.append(f"{name} has columns and no rows")
    return _usable(table, text_column, label_column, found)


def _usable(
    table: Table, text_column: str, label_column: str, found: list[str]
) -> tuple[Example, ...]:
    places = defaultdict(list)
    examples = []
    for row in table.rows:
        text, label = row.values
        wrong = [
            *(f"{fault} in column {text_column!r}" for fault in _text_problems(text)),
            *(f"{fault} in column {label_column!r}" for fault in _label_problems(label)),
        ]
        for fault in wrong:
            places[fault].append(row.number)
        if not wrong:
            examples.append(Example(text.strip(), _label(label)))
    found += [
        f"{table.path.name}: {fault}, {table.unit} {listed(numbers)}"
        for fault, numbers in places.items()
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
