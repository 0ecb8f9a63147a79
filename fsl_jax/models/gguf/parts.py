"""Read a model from one GGUF file, or from the parts that llama.cpp splits a large file into."""

import re
from collections.abc import Iterator
from pathlib import Path

from fsl_jax.errors import InputError, brief
from fsl_jax.models.gguf.metadata import metadata_value
from fsl_jax.models.gguf.reader import GGUFFile, read_gguf

_NAME = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)
_NUMBER, _COUNT, _TENSORS = "split.no", "split.count", "split.tensors.count"


def read_gguf_parts(path: Path) -> tuple[GGUFFile, list[Path]]:
    """Read a GGUF file, and the other parts if it is the first part of a split file.

    The parts are side by side, under names that llama.cpp gives them:
    `model-00001-of-00003.gguf`, and so on. The metadata are in the first part.

    Args:
      path: the file, or the first part.

    Returns:
      The metadata with the tensors of all parts, and the paths of the parts.

    Raises:
      InputError: a part is missing or belongs to another file, or a file cannot be read.
    """
    first = read_gguf(path)
    count = _count(path, first)
    if count == 1:
        return first, [path]
    tensors, paths = dict(first.tensors), [path]
    for part_path, part in _others(path, first, count):
        if twice := sorted(tensors.keys() & part.tensors.keys()):
            raise _refused(part_path, f"tensor {brief(twice[0])} is in an earlier part too")
        tensors |= part.tensors
        paths.append(part_path)
    expected = metadata_value(first.metadata, _TENSORS, int, len(tensors))
    if len(tensors) != expected:
        raise _refused(path, f"the parts have {len(tensors)} tensors; {_TENSORS} is {expected}")
    return GGUFFile(first.metadata, tensors), paths


def _others(path: Path, first: GGUFFile, count: int) -> Iterator[tuple[Path, GGUFFile]]:
    """Yield the paths and contents of the parts after the first."""
    name = _NAME.fullmatch(path.name)
    if name is None or int(name["count"]) != count:
        raise _refused(
            path,
            f"this is a part of a file that is split in {count} ({_COUNT}), and the name of the "
            f"first part ends in -00001-of-{count:05d}.gguf",
        )
    parts = [
        path.with_name(f"{name['stem']}-{number + 1:05d}-of-{count:05d}.gguf")
        for number in range(count)
    ]
    if _number(first) != 0 or path != parts[0]:
        raise _refused(path, f"this is not the first of {count} parts, {parts[0].name}")
    for number, part_path in enumerate(parts[1:], start=1):
        if not part_path.is_file():
            raise _refused(path, f"this is the first of {count} parts, and {part_path} is missing")
        part = read_gguf(part_path)
        if (_number(part), _count(part_path, part)) != (number, count):
            raise _refused(part_path, f"this is not part {number + 1} of {count}")
        yield part_path, part


def _number(file: GGUFFile) -> int:
    return metadata_value(file.metadata, _NUMBER, int, 0)


def _count(path: Path, file: GGUFFile) -> int:
    count = metadata_value(file.metadata, _COUNT, int, 1)
    if count < 0:
        raise _refused(path, f"{_COUNT} is {count}")
    return max(1, count)


def _refused(path: Path, problem: str) -> InputError:
    return InputError(
        f"{path}: {problem}. Put all parts into one directory and give the first, or join them: "
        "llama-gguf-split --merge FIRST_PART JOINED.gguf"
    )
