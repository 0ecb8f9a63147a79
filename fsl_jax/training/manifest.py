"""Manifests, which list all files of a directory with their hashes to detect any change."""

import hashlib
import json
import os
from typing import Any

from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.files import read_bounded, size_and_sha256
from fsl_jax.json_reader import MAX_BYTES, parse_json

NAME = "manifest.json"

_KINDS = {"path": str, "size": int, "sha256": str}


def write(directory: epath.PathLike) -> None:
    """Write `manifest.json` with the path, size and SHA-256 of every file under a directory.

    The manifest ends with the hash of the list itself.

    Args:
      directory: the directory, which already has all its other files.
    """
    directory = epath.Path(directory)
    entries = [_entry(directory, name) for name in _files(directory)]
    (directory / NAME).write_bytes(_encode(entries))


def verify(directory: epath.PathLike) -> list[str]:
    """Compare a directory with its manifest.

    Args:
      directory: the directory.

    Returns:
      The problems, one line for each file, which begins with its path. The list is empty if no file
      is missing or was added, and no byte of any file, including the manifest, has changed.
    """
    directory = epath.Path(directory)
    if not (directory / NAME).exists():
        return [f"{NAME}: missing, so the writing was never finished"]
    try:
        listed = {entry["path"]: entry for entry in _read(directory)}
    except InputError as error:
        return [str(error)]
    present = set(_files(directory))
    problems = [f"{name}: missing" for name in sorted(listed.keys() - present)]
    problems += [f"{name}: not in {NAME}" for name in sorted(present - listed.keys())]
    for name in sorted(listed.keys() & present):
        problems += _differences(listed[name], _entry(directory, name))
    return problems


def _files(directory: epath.Path) -> list[str]:
    """Return the sorted relative paths of all files except the manifest."""
    prefix_length = len(os.fspath(directory)) + 1
    paths = [
        f"{os.fspath(folder)}/{name}"[prefix_length:]
        for folder, _, names in directory.walk()
        for name in names
    ]
    return sorted(path for path in paths if path != NAME)


def _entry(directory: epath.Path, name: str) -> dict[str, Any]:
    size, digest = size_and_sha256(directory / name)
    return {"path": name, "size": size, "sha256": digest}


def _differences(listed: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    if listed["size"] != actual["size"]:
        return [f"{actual['path']}: {actual['size']} bytes, expected {listed['size']}"]
    if listed["sha256"] != actual["sha256"]:
        return [f"{actual['path']}: SHA-256 {actual['sha256']}, expected {listed['sha256']}"]
    return []


def _encode(entries: list[dict[str, Any]]) -> bytes:
    """Encode a manifest in the only valid form, which ends with the hash of the list."""
    text = json.dumps(entries)
    content = {"files": entries, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return (json.dumps(content, indent=1) + "\n").encode()


def _read(directory: epath.Path) -> list[dict[str, Any]]:
    """Read the list in a manifest; raise an error unless `_encode` gives the same bytes."""
    return parse(read_bounded(directory / NAME, MAX_BYTES))


def parse(data: bytes) -> list[dict[str, Any]]:
    """Parse the contents of a manifest.

    Args:
      data: the contents.

    Returns:
      The path, size and SHA-256 of each file.

    Raises:
      InputError: these are not the exact bytes of a manifest.
    """
    try:
        entries = parse_json(data, NAME).get("files")
    except InputError as error:
        raise InputError(f"{NAME}: not as it was written") from error
    # Encoding it again finds changes that parsing ignores, such as whitespace or escapes.
    if not _are_entries(entries) or _encode(entries) != data:
        raise InputError(f"{NAME}: not as it was written")
    return entries


def _are_entries(entries: Any) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and {name: type(value) for name, value in entry.items()} == _KINDS
        for entry in entries
    )
