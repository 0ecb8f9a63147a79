"""A list of all files in a directory with their hashes, by which any change of them is noticed."""

import hashlib
import json
import os
from typing import Any

from etils import epath

from fsl_jax.files import size_and_sha256

NAME = "manifest.json"


def write(directory: epath.PathLike) -> None:
    """Writes `manifest.json`: path, size and SHA-256 of every file under a directory, and its own.

    Args:
      directory: the directory; all its other files are there already.
    """
    directory = epath.Path(directory)
    entries = [_entry(directory, name) for name in _files(directory)]
    (directory / NAME).write_bytes(_encode(entries))


def verify(directory: epath.PathLike) -> list[str]:
    """Compares a directory with its manifest.

    Args:
      directory: the directory.

    Returns:
      What is wrong, a line for each file, its path first. Empty when no file is missing or has been
      added, and every byte of every file, the manifest's own included, is as it was written.
    """
    directory = epath.Path(directory)
    try:
        listed = {entry["path"]: entry for entry in _read(directory)}
    except FileNotFoundError:
        return [f"{NAME}: missing, so the writing was never finished"]
    except ValueError as error:
        return [f"{NAME}: {error}"]
    found = set(_files(directory))
    faults = [f"{name}: missing" for name in sorted(listed.keys() - found)]
    faults += [f"{name}: not in {NAME}" for name in sorted(found - listed.keys())]
    for name in sorted(listed.keys() & found):
        faults += _differences(listed[name], _entry(directory, name))
    return faults


def _files(directory: epath.Path) -> list[str]:
    """The relative paths of all files but the manifest, sorted."""
    above = len(os.fspath(directory)) + 1
    found = [
        f"{os.fspath(folder)}/{name}"[above:]
        for folder, _, names in directory.walk()
        for name in names
    ]
    return sorted(name for name in found if name != NAME)


def _entry(directory: epath.Path, name: str) -> dict[str, Any]:
    size, digest = size_and_sha256(directory / name)
    return {"path": name, "size": size, "sha256": digest}


def _differences(listed: dict[str, Any], found: dict[str, Any]) -> list[str]:
    if listed["size"] != found["size"]:
        return [f"{found['path']}: {found['size']} bytes, expected {listed['size']}"]
    if listed["sha256"] != found["sha256"]:
        return [f"{found['path']}: SHA-256 {found['sha256']}, expected {listed['sha256']}"]
    return []


def _encode(entries: list[dict[str, Any]]) -> bytes:
    """The one text of a manifest, which ends with the hash of the list in it."""
    text = json.dumps(entries)
    content = {"files": entries, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return (json.dumps(content, indent=1) + "\n").encode()


def _read(directory: epath.Path) -> list[dict[str, Any]]:
    """The list in a manifest; a ValueError unless the bytes are what `_encode` gives for it."""
    data = (directory / NAME).read_bytes()
    try:
        entries = json.loads(data)["files"]
        # Encoding again finds what parsing forgives, a changed blank or escape for one.
        intact = _encode(entries) == data
    except (ValueError, TypeError, KeyError, RecursionError):
        intact = False
    if not intact:
        raise ValueError("not as it was written")
    return entries
