"""Checkpoints: the state of a program, written so that a kill at any moment loses nothing.

A checkpoint is a directory `step_00000040` that holds the arrays (`arrays/`, written by Orbax, one
checkpointable an item), `metadata.json` and `manifest.json`. It is written under a staging name,
hashed, synced, and renamed when it is complete; without a valid manifest it does not exist. On an
object store such as `gs://` nothing is renamed: the files are written in place, and the manifest,
which comes last, is what makes the checkpoint exist; one that was cut short is passed over with a
warning.

With several processes all of them call `save` and `restore_latest` with the same directory, which
all can read. Only process 0 writes.
"""

import dataclasses
import json
import re
from typing import Any

from absl import logging
from etils import epath

from fsl_jax import errors, files, processes
from fsl_jax.training import array_store, leaves, manifest

_ARRAYS = "arrays"
_METADATA = "metadata.json"
_NAME = "step_{:08d}"
_STEP = re.compile(r"step_(\d{8,})")


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """What was kept of a program.

    Attributes:
      step: the number that it was saved under.
      items: the trees, by name.
      metadata: the JSON object that was saved beside them.
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
    """Saves a checkpoint; once this returns, it is the one that `restore_latest` gives.

    Checkpoints of later steps are removed, since a program that saves this step has gone back
    behind them. One of the same step is replaced.

    Args:
      directory: holds the checkpoints of one program, and nothing else; made where it is missing.
      step: from 0.
      items: trees of arrays and Python numbers by name, such as "adapter", "optimizer", "cursor".
      metadata: a JSON object.
      keep: how many checkpoints stay, this one included; from 1.

    Returns:
      The checkpoint's directory.

    Raises:
      OSError: it could not be written, a full disk for one. Earlier checkpoints are untouched.
      ValueError: `metadata` is no JSON, or holds NaN.
    """
    if keep < 1 or step < 0:
        raise ValueError(f"expected keep >= 1 and step >= 0, found {keep=} and {step=}")
    directory = _absolute(directory)
    path = directory / _NAME.format(step)
    described = {name: leaves.describe(tree) for name, tree in items.items()}
    content = json.dumps(
        {"step": step, "metadata": metadata, "tensors": described}, indent=1, allow_nan=False
    )
    arrays = {name: leaves.to_host(tree) for name, tree in items.items()}
    if not processes.is_first():
        _write_arrays(files.staging_directory(path) / _ARRAYS, arrays)
        return path
    files.recover(directory)
    with files.staged_directory(path) as staging:
        _write_arrays(staging / _ARRAYS, arrays)
        (staging / _METADATA).write_text(content + "\n")
        manifest.write(staging)
    _prune(directory, step, keep)
    return path


def restore_latest(
    directory: epath.PathLike, templates: dict[str, Any] | None
) -> Checkpoint | None:
    """Reads the newest checkpoint that is as it was written.

    Damaged ones are passed over with a warning that names their files. What writers that were
    killed have left in the directory is removed, so no writer may be at work there.

    Args:
      directory: where `save` wrote; it may be missing.
      templates: for each item that was saved a tree of `jax.Array` or `jax.ShapeDtypeStruct`, which
        give the shardings, of NumPy arrays, or of Python numbers. None reads step and metadata
        only, and gives no items.

    Returns:
      The checkpoint, or None when there is none.

    Raises:
      InputError: what was saved are not the tensors of the templates; lists all differences.
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
    content = json.loads((path / _METADATA).read_text())
    items = {} if templates is None else _read_items(path, templates, content["tensors"])
    return Checkpoint(content["step"], items, content["metadata"])


def verify(path: epath.PathLike) -> list[str]:
    """What is wrong with a checkpoint's directory, a line for each file; empty when nothing is."""
    path = _absolute(path)
    found = manifest.verify(path)
    if not found and json.loads((path / _METADATA).read_text())["step"] != _step_of(path):
        found = [f"{_METADATA}: not of the step that the directory's name says"]
    return found


def _absolute(path: epath.PathLike) -> epath.Path:
    # Orbax takes nothing else.
    return epath.Path(path).expanduser().resolve()


def _step_of(path: epath.Path) -> int | None:
    match = _STEP.fullmatch(path.name)
    return int(match[1]) if match else None


def _steps(directory: epath.Path) -> dict[int, epath.Path]:
    """All checkpoints, valid or not, the newest first."""
    entries = directory.iterdir() if directory.exists() else ()
    found = {step: path for path in entries if (step := _step_of(path)) is not None}
    return dict(sorted(found.items(), reverse=True))


def _prune(directory: epath.Path, step: int, keep: int) -> None:
    """Removes the checkpoints after a step, and those before it that are too many."""
    steps = _steps(directory)
    earlier = [other for other in steps if other <= step]
    for other, path in steps.items():
        if other not in earlier[:keep]:
            files.remove_directory(path)


def _newest_valid(directory: epath.Path) -> int | None:
    """The step of the newest checkpoint without faults; warns of those that are passed over."""
    damaged: list[str] = []
    newest = None
    for step, path in _steps(directory).items():
        found = verify(path)
        if not found:
            newest = step
            break
        damaged.append(f"{path}: {'; '.join(found)}")
    for fault in damaged:
        instead = "there is no other, so nothing is resumed"
        if newest is not None:
            instead = f"{directory / _NAME.format(newest)} is used"
        logging.warning("A checkpoint is damaged and passed over: %s. %s.", fault, instead)
    return newest


def _write_arrays(directory: epath.Path, items: dict[str, array_store.Arrays]) -> None:
    """Writes what has elements; of the rest, `metadata.json` says all."""
    filled = {
        item: {name: array for name, array in arrays.items() if array.size}
        for item, arrays in items.items()
    }
    filled = {item: arrays for item, arrays in filled.items() if arrays}
    if filled:
        array_store.write_arrays(directory, filled)


def _read_items(
    path: epath.Path, templates: dict[str, Any], tensors: dict[str, Any]
) -> dict[str, Any]:
    """Reads the trees, once what was saved is found to be what the templates say."""
    saved = {item: leaves.parse_descriptions(named) for item, named in tensors.items()}
    expected = {item: leaves.describe(template) for item, template in templates.items()}
    found = [
        f"{item}/{difference}"
        for item in sorted(saved.keys() | expected.keys())
        for difference in leaves.differences(saved.get(item, {}), expected.get(item, {}))
    ]
    if found:
        raise errors.problems_error(
            f"{path} is the checkpoint of another program. Give the settings that it was saved "
            "with, or another directory:",
            found,
        )
    filled = [item for item in sorted(saved) if any(0 not in x.shape for x in saved[item].values())]
    arrays = array_store.read_arrays(path / _ARRAYS, filled) if filled else {}
    return {
        item: leaves.from_host(template, arrays.get(item, {}))
        for item, template in templates.items()
    }
