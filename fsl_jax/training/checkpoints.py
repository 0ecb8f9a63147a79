"""Checkpoints of the state of a program, which stay valid if the process is killed at any time.

A checkpoint is a directory such as `step_00000040`. It holds the arrays (`arrays/`, written by
Orbax, with one checkpointable for each item), `metadata.json` and `manifest.json`. It is written
under a temporary name, hashed, synced, and renamed when it is complete. A directory without a valid
manifest is not a checkpoint. On an object store such as `gs://` nothing is renamed: the files are
written in place, and the manifest is written last. An incomplete directory has no manifest and is
skipped with a warning.

With several processes, all of them call `save` and `restore_latest` with the same directory, which
all can read. Only process 0 writes.
"""

import dataclasses
import json
import re
from typing import Any

from absl import logging
from etils import epath

from fsl_jax import errors, files, processes
from fsl_jax.json_reader import read_json
from fsl_jax.training import manifest, named_arrays, orbax_arrays

_ARRAYS = "arrays"
_METADATA = "metadata.json"
_NAME = "step_{:08d}"
_STEP = re.compile(r"step_(\d{8,})")


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """The saved state of a program.

    Attributes:
      step: the step at which it was saved.
      items: the trees by name.
      metadata: the JSON object that was saved with them.
    """

    step: int
    items: dict[str, Any]
    metadata: dict[str, Any]


def save(
    directory: epath.PathLike,
    step: int,
    items: dict[str, Any],
    metadata: dict[str, Any],
    *,
    keep: int = 2,
) -> epath.Path:
    """Save a checkpoint, which `restore_latest` then returns.

    A checkpoint of the same step is replaced. Checkpoints of later steps are removed, since the
    program has restarted from an earlier step.

    Args:
      directory: a directory for the checkpoints of one program only; it is created if missing.
      step: the step, from 0.
      items: trees of arrays and Python numbers by name, such as "adapter", "optimizer", "cursor".
      metadata: a JSON object.
      keep: the number of checkpoints to keep, this one included; at least 1.

    Returns:
      The checkpoint's directory.

    Raises:
      OSError: the checkpoint could not be written, for example because the disk is full. Earlier
        checkpoints are not changed.
      ValueError: `metadata` is not valid JSON, or holds NaN.
    """
    if keep < 1 or step < 0:
        raise ValueError(f"expected keep >= 1 and step >= 0, found {keep=} and {step=}")
    directory = _absolute(directory)
    path = directory / _NAME.format(step)
    text = _encode(step, items, metadata)
    arrays = {name: named_arrays.tree_to_arrays(tree) for name, tree in items.items()}
    if not processes.is_first():
        _write_arrays(files.staging_directory(path) / _ARRAYS, arrays)
        return path
    files.recover(directory)
    with files.staged_directory(path) as staging:
        _write_arrays(staging / _ARRAYS, arrays)
        (staging / _METADATA).write_text(text)
        manifest.write(staging)
    _prune(directory, step, keep)
    return path


def restore_latest(
    directory: epath.PathLike, templates: dict[str, Any] | None
) -> Checkpoint | None:
    """Read the newest checkpoint that is not damaged.

    Damaged checkpoints are skipped with a warning that names their files. Files that killed writers
    left in the directory are removed, so no process may write to it at the same time.

    Args:
      directory: the directory of the checkpoints, which need not exist.
      templates: for each saved item a tree of `jax.Array` or `jax.ShapeDtypeStruct` with the wanted
        shardings, of NumPy arrays, or of Python numbers. With None only the step and the metadata
        are read, and the checkpoint has no items.

    Returns:
      The checkpoint, or None if there is none.

    Raises:
      InputError: the saved tensors do not match the templates; the error lists all differences.
    """
    directory = _absolute(directory)
    step = None
    if processes.is_first():
        files.recover(directory)
        step = _newest_valid(directory)
    step = processes.from_first(step)
    if step is None:
        return None
    path = directory / _NAME.format(step)
    content = read_json(path / _METADATA)
    items = {} if templates is None else _read_items(path, templates, content["tensors"])
    return Checkpoint(content["step"], items, content["metadata"])


def verify(path: epath.PathLike) -> list[str]:
    """Check the directory of a checkpoint, and return its problems, one line for each file."""
    path = _absolute(path)
    problems = manifest.verify(path)
    if not problems and read_json(path / _METADATA).get("step") != _step_of(path):
        problems = [f"{_METADATA}: its step is not the one in the directory's name"]
    return problems


def _absolute(path: epath.PathLike) -> epath.Path:
    # Orbax accepts only absolute paths.
    return epath.Path(path).expanduser().resolve()


def _step_of(path: epath.Path) -> int | None:
    match = _STEP.fullmatch(path.name)
    return int(match[1]) if match else None


def _steps(directory: epath.Path) -> dict[int, epath.Path]:
    """Return all checkpoints by step, valid or not, newest first."""
    entries = directory.iterdir() if directory.exists() else ()
    paths = {step: path for path in entries if (step := _step_of(path)) is not None}
    return dict(sorted(paths.items(), reverse=True))


def _prune(directory: epath.Path, step: int, keep: int) -> None:
    """Remove the checkpoints after a step, and the oldest ones beyond the number to keep."""
    steps = _steps(directory)
    earlier = [other for other in steps if other <= step]
    for other, path in steps.items():
        if other not in earlier[:keep]:
            files.remove_directory(path)


def _newest_valid(directory: epath.Path) -> int | None:
    """Return the step of the newest valid checkpoint, and warn of skipped ones."""
    damaged: list[str] = []
    newest = None
    for step, path in _steps(directory).items():
        problems = verify(path)
        if not problems:
            newest = step
            break
        damaged.append(f"{path}: {'; '.join(problems)}")
    for description in damaged:
        instead = "there is no other, so nothing is resumed"
        if newest is not None:
            instead = f"{directory / _NAME.format(newest)} is used"
        logging.warning("A checkpoint is damaged and passed over: %s. %s.", description, instead)
    return newest


def _encode(step: int, items: dict[str, Any], metadata: dict[str, Any]) -> str:
    """Return the text of `metadata.json`."""
    tensors = {name: named_arrays.describe(tree) for name, tree in items.items()}
    content = {"step": step, "metadata": metadata, "tensors": tensors}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _write_arrays(directory: epath.Path, items: dict[str, orbax_arrays.Arrays]) -> None:
    """Write the arrays that have elements; `metadata.json` fully describes the empty ones."""
    filled = {
        item: {name: array for name, array in arrays.items() if array.size}
        for item, arrays in items.items()
    }
    filled = {item: arrays for item, arrays in filled.items() if arrays}
    if filled:
        orbax_arrays.write_arrays(directory, filled)


def _read_items(
    path: epath.Path, templates: dict[str, Any], tensors: dict[str, Any]
) -> dict[str, Any]:
    """Check that the saved tensors match the templates, and read the trees."""
    saved = {item: named_arrays.parse_descriptions(named) for item, named in tensors.items()}
    expected = {item: named_arrays.describe(template) for item, template in templates.items()}
    problems = [
        f"{item}/{difference}"
        for item in sorted(saved.keys() | expected.keys())
        for difference in named_arrays.differences(saved.get(item, {}), expected.get(item, {}))
    ]
    if problems:
        raise errors.problems_error(
            f"{path} is the checkpoint of another program. Give the flags that it was saved "
            "with, or another directory:",
            problems,
        )
    filled = [
        item
        for item, descriptions in sorted(saved.items())
        if any(0 not in description.shape for description in descriptions.values())
    ]
    arrays = orbax_arrays.read_arrays(path / _ARRAYS, filled) if filled else {}
    return {
        item: named_arrays.arrays_to_tree(template, arrays.get(item, {}))
        for item, template in templates.items()
    }
