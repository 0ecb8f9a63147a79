"""Find the files of a data set in a directory.

Three layouts are known: `train.*`, `test.*` and perhaps `validation.*`, or the other names that
`part_names` has for them; the same parts in numbered files, such as `train-00000-of-00002.parquet`,
as the Hugging Face hub keeps them, there or in a folder `data`; and the folders that `save_to_disk`
of `datasets` writes.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fsl_jax.data.origins.part_names import PART_NAMES, part_of
from fsl_jax.data.readers.registry import formats, is_known, unknown_suffix
from fsl_jax.errors import InputError, problems_error
from fsl_jax.json_reader import read_json

_NUMBERED = re.compile(r"(?P<part>[a-z]+)-(?P<number>\d{5})-of-(?P<count>\d{5})(-[0-9a-f]+)?")
_SAVED_PARTS = "dataset_dict.json"
_SAVED_STATE = "state.json"
_INDICES = ("_indices_data_files", "_indices_files")

Files = dict[str, tuple[Path, ...]]


def part_files(directory: Path) -> Files:
    """Find the files of each part of a data set.

    Args:
      directory: a directory in one of the layouts.

    Returns:
      The files by part, in their order. A data set that `save_to_disk` wrote without parts has only
      the part "train", and no test set of its own.

    Raises:
      InputError: there is no part for training or for testing, more than one file for a part, or a
        file is missing or has an unknown suffix; the error lists all problems.
    """
    if (directory / _SAVED_STATE).is_file():
        return {"train": _saved_files(directory)}
    if (directory / _SAVED_PARTS).is_file():
        files: Files = {
            part: _saved_files(directory / part)
            for part in PART_NAMES
            if (directory / part / _SAVED_STATE).is_file()
        }
        problems = [f"there is no {part}" for part in ("train", "test") if part not in files]
    else:
        nested = directory / "data"
        files, problems = _named_files(directory)
        if not files and nested.is_dir():
            files, problems = _named_files(nested)
    if problems:
        raise problems_error(
            f"{directory} is no data set: a directory needs train.*, test.* and perhaps "
            f"validation.* in {formats()}. To use a single file, name the file.",
            problems,
        )
    return files


def _saved_files(directory: Path) -> tuple[Path, ...]:
    """Return the files that the state of a saved data set names."""
    state = directory / _SAVED_STATE
    values: dict[str, Any] = read_json(state)
    if any(values.get(name) for name in _INDICES):
        raise InputError(
            f"{state}: an early version of `datasets` saved which rows to take in a file of its "
            "own, which is not read. Load the data set with `datasets` and save it again"
        )
    entries = values.get("_data_files")
    if not isinstance(entries, list) or not entries or not all(map(_names_a_file, entries)):
        raise InputError(f"{state}: expected the names of files beside it in `_data_files`")
    return tuple(directory / entry["filename"] for entry in entries)


def _names_a_file(entry: Any) -> bool:
    """Return True for an entry with a plain name, which cannot lead out of the directory."""
    name = entry.get("filename") if isinstance(entry, Mapping) else None
    return isinstance(name, str) and name != "" and Path(name).name == name


def _named_files(directory: Path) -> tuple[Files, list[str]]:
    """Return the files whose names begin with a part, and the problems with them."""
    plain, numbered = defaultdict(list), defaultdict(list)
    for file in sorted(directory.iterdir()):
        if not file.is_file():
            continue
        if match := _NUMBERED.fullmatch(file.name.partition(".")[0]):
            numbered[part_of(match["part"])].append((match, file))
        else:
            plain[part_of(file.name.partition(".")[0])].append(file)
    files = {
        part: (*plain[part], *(file for _, file in numbered[part]))
        for part in PART_NAMES
        if plain[part] or numbered[part]
    }
    problems = [f"there is no {part}.*" for part in ("train", "test") if part not in files]
    for part in files:
        problems += _part_problems(part, plain[part], numbered[part])
    problems += [
        unknown_suffix(file) for part in files for file in files[part] if not is_known(file)
    ]
    return files, problems


def _part_problems(
    part: str, plain: list[Path], numbered: list[tuple[re.Match[str], Path]]
) -> Iterator[str]:
    """Yield the problems of a part that has too many files, or too few."""
    if len(plain) + bool(numbered) > 1:
        names = " and ".join(file.name for file in [*plain, *(file for _, file in numbered)])
        yield f"there is more than one {part}.*: {names}; keep one"
    counts = {int(match["count"]) for match, _ in numbered}
    numbers = [int(match["number"]) for match, _ in numbered]
    if numbered and (len(counts) > 1 or numbers != list(range(counts.pop()))):
        names = ", ".join(file.name for _, file in numbered)
        yield f"the numbered files of {part} are not complete: {names}"
