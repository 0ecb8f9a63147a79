"""Write files and directories so that they appear complete or not at all.

Paths are those of `etils.epath`: local ones, or those of object stores such as `gs://`. On a local
disk everything is written under a staging name in the same directory, synced, and renamed. So a
reader sees either the old or the new content, even after a power failure. An object store has no
atomic rename. A single file is always complete there, since an object appears when its upload ends.
A directory may be incomplete: it needs a file, such as a manifest, that is written last and says
that the others are complete. Files from outside are read here too, up to a size.
"""

import concurrent.futures
import contextlib
import errno
import functools
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import logging
from etils import epath

from fsl_jax.errors import InputError

STAGING = ".staging-"
REPLACED = ".replaced-"
_CHUNK = 1 << 20
_SYNCS_AT_ONCE = 16


def cache_directory() -> epath.Path:
    """Return the directory of caches: `$FSL_JAX_CACHE`, or `~/.cache/fsl_jax`."""
    return epath.Path(_cache_path()).expanduser()


def usable_cache_directory(folder: str = "") -> epath.Path | None:
    """Return the directory of caches, or a folder in it; it exists and can be written to.

    Args:
      folder: the folder.

    Returns:
      The directory; None if it cannot be used, so that nothing can be cached. The first call says
      so in a warning.
    """
    directory = _usable_directory(_cache_path())
    if directory is None or not folder:
        return directory
    return _usable_directory(os.fspath(directory / folder))


def _cache_path() -> str:
    return os.environ.get("FSL_JAX_CACHE") or "~/.cache/fsl_jax"


@functools.cache
def _usable_directory(path: str) -> epath.Path | None:
    """Make a directory and a file in it; if this fails, warn and return None."""
    try:
        directory = epath.Path(path).expanduser()
        directory.mkdir(parents=True, exist_ok=True)
        probe = _unused_name(directory / "probe")
        probe.write_bytes(b"")
        probe.unlink()
    # `expanduser` raises a RuntimeError for an unknown user, and an object store needs a package.
    except (OSError, RuntimeError, ImportError, ValueError) as error:
        logging.warning(
            "going on without a cache, so that the next start compiles programs and converts "
            "weights again: %s cannot be written to: %s. Set FSL_JAX_CACHE to another directory.",
            path,
            error,
        )
        return None
    return directory


def local_path(name: str) -> Path:
    """Return the path that a user wrote, with the user's directory in the place of `~`.

    Args:
      name: the path; there need not be such a file.

    Returns:
      The path.

    Raises:
      InputError: it is empty, or cannot be looked up: it is too long, or names an unknown user or a
        directory that may not be read.
    """
    if not name.strip():
        raise InputError("a name or path is empty")
    try:
        path = Path(name).expanduser()
        # A path with a null character does not exist.
        path.exists()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name}: this path cannot be looked up: {reason}") from error
    return path


def is_local(path: epath.PathLike) -> bool:
    """Return True if a path is on a file system of this machine, where a rename is atomic."""
    return "://" not in os.fspath(path)


def write_atomically(path: epath.PathLike, data: bytes | str) -> None:
    """Replace the contents of a file completely or not at all.

    Args:
      path: the file; missing parent directories are created.
      data: the contents; text is written as UTF-8.

    Raises:
      OSError: the file could not be written, for example because the disk is full. The old file is
        not changed.
    """
    path = epath.Path(path)
    data = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    if not is_local(path):
        path.write_bytes(data)
        return
    if path.exists() and not is_plain_file(path):
        # A device such as `/dev/null` would be gone.
        raise FileExistsError(errno.EEXIST, "not a plain file", os.fspath(path))
    staging = _unused_name(path)
    try:
        with staging.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_json(path: epath.PathLike, obj: Any) -> None:
    """Write a value as indented JSON, completely or not at all; keys keep their order.

    Args:
      path: the file, which is replaced if it exists.
      obj: the value.

    Raises:
      ValueError: a float is NaN or infinite, which JSON cannot represent.
      TypeError: a part of the value has a type that JSON cannot represent.
      OSError: the file could not be written; the old file is not changed.
    """
    text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")


def staging_directory(path: epath.PathLike) -> epath.Path:
    """Return the staging directory that `staged_directory` renames to a path.

    The directory is the same in every process, so that several processes can write into it.
    """
    path = epath.Path(path)
    return path.parent / f"{STAGING}{path.name}" if is_local(path) else path


@contextlib.contextmanager
def staged_directory(path: epath.PathLike) -> Iterator[epath.Path]:
    """Provide a directory to fill, which appears at `path` when the block ends.

    An existing directory at `path` is replaced. If the block fails, it is not changed. After a
    kill, `recover` cleans up the parent directory. On an object store the files are written in
    place, so the file that says that the others are complete must be written last.

    Args:
      path: the final path of the directory; missing parent directories are created.

    Yields:
      The directory to write into.
    """
    path = epath.Path(path)
    staging = staging_directory(path)
    try:
        staging.rmtree(missing_ok=True)
        staging.mkdir(parents=True)
        yield staging
        if is_local(path):
            _sync_tree(staging)
            _put_in_place(staging, path)
    except BaseException:
        staging.rmtree(missing_ok=True)
        raise


def remove_directory(path: epath.PathLike) -> None:
    """Remove a directory and its contents; on a local disk this is atomic, even at a kill.

    Args:
      path: the directory, which need not exist.
    """
    path = epath.Path(path)
    if is_local(path) and path.exists():
        path = path.rename(_unused_name(path))
    path.rmtree(missing_ok=True)


def has_leftovers(directory: epath.PathLike) -> bool:
    """Return True if killed writers left files in a directory, which `recover` removes."""
    entries = epath.Path(directory).iterdir()
    return any(entry.name.startswith((STAGING, REPLACED)) for entry in entries)


def recover(directory: epath.PathLike) -> None:
    """Remove files that killed writers left in a directory, and restore those they had moved.

    No process may write to the directory at the same time.

    Args:
      directory: the directory, which need not exist.
    """
    directory = epath.Path(directory)
    if not directory.exists():
        return
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith(STAGING):
            entry.rmtree()
        elif entry.name.startswith(REPLACED):
            _settle(entry)


def read_bounded(path: epath.PathLike, max_bytes: int) -> bytes:
    """Return the contents of a file from outside, which may not be as large as it claims to be.

    Args:
      path: the file.
      max_bytes: the largest size to read, in bytes.

    Returns:
      The bytes.

    Raises:
      InputError: there is no such file, it is not a plain file (a device would never end), it
        cannot be read, or it is too large.
    """
    path = epath.Path(path)
    require_bounded(path, max_bytes)
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    # Some files of the system have the size 0 and go on.
    if len(data) > max_bytes:
        raise _too_large(path, len(data), max_bytes)
    return data


def require_bounded(path: epath.PathLike, max_bytes: int) -> None:
    """Raise an error for a path that is no plain file, or for a file that is too large.

    Args:
      path: the file.
      max_bytes: the largest size to read, in bytes.

    Raises:
      InputError: there is no such file, it is not a plain file, or it is too large.
    """
    path = epath.Path(path)
    # `epath` finds nothing under a name that is too long.
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    if not is_plain_file(path):
        raise InputError(f"{path}: not a plain file")
    size = Path(path).stat().st_size if is_local(path) else path.stat().length
    if size > max_bytes:
        raise _too_large(path, size, max_bytes)


def stays_inside(path: epath.PathLike) -> bool:
    """Return True for a file in its directory, and for a link that leads to one.

    A link may also lead to a file in the cache of the Hugging Face hub, since its client puts such
    links into the directories that it makes.

    Args:
      path: the file, which need not exist.

    Returns:
      False for a link to any other file, and for a name that no file can have.
    """
    if not is_local(path):
        return True
    path = Path(path)
    try:
        path.exists()
        directory, target = path.parent.resolve(), path.resolve()
    # A name that is too long or has half a character, or a link to itself.
    except (OSError, ValueError, RuntimeError):
        return False
    return target.is_relative_to(directory) or _is_in_hub_cache(target)


def is_plain_file(path: epath.PathLike) -> bool:
    """Return True for a file, or a link to one; False for directories, devices and pipes."""
    # `epath` takes everything that is not a directory for a file.
    return Path(path).is_file() if is_local(path) else epath.Path(path).is_file()


def size_and_sha256(path: epath.PathLike) -> tuple[int, str]:
    """Return the size of a file in bytes, and its SHA-256 in hexadecimal."""
    digest, size = hashlib.sha256(), 0
    with epath.Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def sha256(path: epath.PathLike) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return size_and_sha256(path)[1]


def sync_directory(path: epath.PathLike) -> None:
    """Sync the entries of a local directory to disk; do nothing for other paths."""
    if is_local(path):
        _sync(path)


def _is_in_hub_cache(target: Path) -> bool:
    """Return True for a file where the hub's client keeps the files of a repository."""
    files = target.parent
    return files.name == "blobs" and (
        files.parent.name.startswith("models--") or files.with_name("snapshots").is_dir()
    )


def _too_large(path: epath.Path, size: int, max_bytes: int) -> InputError:
    return InputError(f"{path}: it has {size:,} bytes, and at most {max_bytes:,} are read here")


def _unused_name(path: epath.Path) -> epath.Path:
    return path.parent / f"{STAGING}{path.name}-{uuid.uuid4().hex[:8]}"


def _sync(path: epath.PathLike) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(directory: epath.Path) -> None:
    """Sync all files and directories under a directory to disk."""
    paths = [directory]
    for folder, folders, names in directory.walk():
        paths += [folder / name for name in [*folders, *names]]
    # Simultaneous syncs share one journal commit, which takes a fifth of the time.
    with concurrent.futures.ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
        list(pool.map(_sync, paths))


def _put_in_place(staging: epath.Path, path: epath.Path) -> None:
    """Rename a directory to its final name, after moving an existing directory aside."""
    replaced = path.parent / f"{REPLACED}{path.name}"
    _settle(replaced)
    if path.exists():
        path.rename(replaced)
    try:
        staging.rename(path)
        sync_directory(path.parent)
    finally:
        _settle(replaced)


def _settle(replaced: epath.Path) -> None:
    """Remove a directory that was moved aside, or put it back if nothing has replaced it."""
    original = replaced.parent / replaced.name.removeprefix(REPLACED)
    if not replaced.exists():
        return
    if original.exists():
        replaced.rmtree()
    else:
        replaced.rename(original)
