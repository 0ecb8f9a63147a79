"""Files and directories that appear whole or not at all.

Paths are what `etils.epath` takes: local ones, or `gs://` and its kin. On a local disk everything
is written under a staging name in the same directory, synced, and renamed; whoever looks, and a
machine that loses its power, finds the old or the new and nothing between. An object store has no
rename of that kind. A single file is whole there anyway, since an object appears when its upload
ends; a directory is not, so what is kept in one needs a file that is written last and says that the
others are complete, as a manifest does.
"""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any

from etils import epath

STAGING = ".staging-"
REPLACED = ".replaced-"
_CHUNK = 1 << 20
_SYNCS_AT_ONCE = 16


def cache_directory() -> epath.Path:
    """Where what can be made again is kept: `$FSL_JAX_CACHE`, or `~/.cache/fsl_jax`."""
    return epath.Path(os.environ.get("FSL_JAX_CACHE") or "~/.cache/fsl_jax").expanduser()


def is_local(path: epath.PathLike) -> bool:
    """Whether a path lies on a file system of this machine, where a rename is atomic."""
    return "://" not in os.fspath(path)


def write_atomically(path: epath.PathLike, data: bytes | str) -> None:
    """Replaces a file by new contents, all or nothing.

    Args:
      path: the file; directories above it are made where they are missing.
      data: the contents; text is written as UTF-8.

    Raises:
      OSError: it could not be written, a full disk for one; what was there before is untouched.
    """
    path = epath.Path(path)
    data = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    if not is_local(path):
        path.write_bytes(data)
        return
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
    """Replaces a file by a value as indented JSON, all or nothing; keys stay in their order.

    Args:
      path: the file.
      obj: the value.

    Raises:
      ValueError: a float is NaN or infinite, which JSON has no word for.
      TypeError: something in the value is not of JSON's kinds.
      OSError: it could not be written; what was there before is untouched.
    """
    text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")


def staging_directory(path: epath.PathLike) -> epath.Path:
    """Where `staged_directory` has the directory filled that will stand at a path.

    It is the same in every process, for those that share the filling.
    """
    path = epath.Path(path)
    return path.parent / f"{STAGING}{path.name}" if is_local(path) else path


@contextlib.contextmanager
def staged_directory(path: epath.PathLike) -> Iterator[epath.Path]:
    """A directory to fill, which stands at `path` once the block ends and not before.

    A directory that stood there is replaced. When the block fails, what was there before is
    untouched. After a kill, `recover` brings the directory above back in order. On an object store
    the files are written in place: write last the one that says that the others are complete.

    Args:
      path: where the directory will stand; directories above it are made where they are missing.

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
    """Removes a directory with all in it; on a local disk it goes as a whole, even at a kill.

    Args:
      path: the directory; it may be missing.
    """
    path = epath.Path(path)
    if is_local(path) and path.exists():
        path = path.rename(_unused_name(path))
    path.rmtree(missing_ok=True)


def recover(directory: epath.PathLike) -> None:
    """Removes what writers that were killed left in a directory, and puts back what they had moved.

    No writer may be at work in the directory.

    Args:
      directory: a directory in which files or directories are written; it may be missing.
    """
    directory = epath.Path(directory)
    if not directory.exists():
        return
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith(STAGING):
            entry.rmtree()
        elif entry.name.startswith(REPLACED):
            _settle(entry)


def size_and_sha256(path: epath.PathLike) -> tuple[int, str]:
    """The number of bytes in a file, and their SHA-256 in hexadecimal."""
    digest, size = hashlib.sha256(), 0
    with epath.Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def sha256(path: epath.PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    return size_and_sha256(path)[1]


def sync_directory(path: epath.PathLike) -> None:
    """Waits until the names in a local directory are on the disk; elsewhere there is no wait."""
    if is_local(path):
        _sync(path)


def _unused_name(path: epath.Path) -> epath.Path:
    return path.parent / f"{STAGING}{path.name}-{uuid.uuid4().hex[:8]}"


def _sync(path: epath.PathLike) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(directory: epath.Path) -> None:
    """Waits until every file and every name under a directory is on the disk."""
    paths = [directory]
    for folder, folders, names in directory.walk():
        paths += [folder / name for name in [*folders, *names]]
    # The disk takes many at once in one turn of its journal: a fifth of the time.
    with concurrent.futures.ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
        list(pool.map(_sync, paths))


def _put_in_place(staging: epath.Path, path: epath.Path) -> None:
    """Renames a directory to its final name; one that stood there steps aside until then."""
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
    """Ends a replacement: removes what stepped aside, or puts it back if nothing took its place."""
    original = replaced.parent / replaced.name.removeprefix(REPLACED)
    if not replaced.exists():
        return
    if original.exists():
        replaced.rmtree()
    else:
        replaced.rename(original)
