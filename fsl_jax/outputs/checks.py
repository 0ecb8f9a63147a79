"""Find out that an output cannot be written before any work is done."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from etils import epath

from fsl_jax.errors import InputError, unknown_name
from fsl_jax.files import is_local, is_plain_file
from fsl_jax.outputs.names import MAX_PATH_BYTES, absolute

PACKAGES = {"gs": "gcsfs", "s3": "s3fs", "az": "adlfs", "hf": "huggingface_hub"}
"""The package that reads and writes each kind of object store."""

LONGEST_INSIDE = 400
"""Bytes of the longest path that a command makes inside its output."""

CANNOT_WRITE, CHOOSE_ANOTHER = "nothing can be written there", "Choose another output"
_DEVICES = ("/dev", "/proc/self/fd", "/dev/fd")
_REASONS: dict[type, str] = {
    FileExistsError: "it is a file",
    NotADirectoryError: "a part of its path is a file",
}


def require_named(flag: str, value: str | None) -> None:
    """Raise an error if a flag that names an output is given without a name.

    Args:
      flag: the flag with its dashes.
      value: its value; None if it was not given.

    Raises:
      InputError: the value is empty or has only spaces.
    """
    if value is not None and not value.strip():
        raise InputError(f"{flag} is empty: give a path to write to")


def require_usable(path: epath.PathLike) -> None:
    """Raise an error if nothing can be written to a path, without touching it.

    Args:
      path: the file or directory.

    Raises:
      InputError: the path is empty or too long, or its kind is not known.
    """
    text = os.fspath(path)
    require_named("the output", text)
    if "\0" in text:
        raise InputError(f"{text!r}: a path has no null character")
    kind, separator, _ = text.partition("://")
    if separator and kind not in PACKAGES:
        raise unknown_name("kind of path", f"{kind}://", [f"{name}://" for name in PACKAGES])
    if not is_local(path):
        return
    size = len(os.fsencode(absolute(text))) + 1 + LONGEST_INSIDE
    if size > MAX_PATH_BYTES:
        raise InputError(
            f"…{text[-60:]}: the files inside would have paths of up to {size:,} bytes, and "
            f"at most {MAX_PATH_BYTES:,} are possible. Give a shorter path"
        )


def require_plain_file(path: epath.PathLike) -> None:
    """Raise an error for an output that is to be a file and exists as something else.

    A file is written beside its path and takes its name when it is complete. Where the name is that
    of a device, such as `/dev/null`, the device would be gone.

    Args:
      path: the file, which need not exist.

    Raises:
      InputError: the path is that of a directory, a device or a pipe.
    """
    if not is_local(path):
        return
    absolute = Path(os.path.abspath(path))  # noqa: PTH100
    with explaining(path):
        if absolute.is_dir() or os.fspath(path).endswith(os.sep):
            raise InputError(f"{path}: expected a file, found a directory. Give a file inside it")
        is_other = absolute.exists() and not is_plain_file(epath.Path(absolute))
        if is_other or absolute.parent in map(Path, _DEVICES):
            raise InputError(f"{path}: not a plain file, which could be replaced. {CHOOSE_ANOTHER}")


@contextlib.contextmanager
def explaining(path: epath.PathLike) -> Iterator[None]:
    """Turn errors of a file system inside the block into an `InputError` that names the output.

    Args:
      path: the output.

    Yields:
      Nothing.

    Raises:
      InputError: the file system raised an error.
    """
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        kind = os.fspath(path).partition(":")[0]
        package = PACKAGES.get(kind, "fsspec")
        raise InputError(
            f"{path}: {kind}:// needs a package that is not installed: pip install {package}"
        ) from error
    except OSError as error:
        reason = _REASONS.get(type(error)) or error.strerror or str(error) or type(error).__name__
        raise InputError(f"{path}: {CANNOT_WRITE}: {reason}. {CHOOSE_ANOTHER}") from error
    except Exception as error:
        # Each package of an object store has errors of its own.
        if is_local(path):
            raise
        raise InputError(f"{path}: {CANNOT_WRITE}: {type(error).__name__}: {error}") from error


def make_directory(directory: epath.PathLike) -> list[Path]:
    """Create a directory and its parents.

    Args:
      directory: the directory, which may exist.

    Returns:
      The local directories that were created, the innermost first.

    Raises:
      OSError: the directory cannot be created.
    """
    if not is_local(directory):
        epath.Path(directory).mkdir(parents=True, exist_ok=True)
        return []
    path = absolute(directory)
    missing = []
    for folder in (path, *path.parents):
        if folder.exists():
            break
        missing.append(folder)
    path.mkdir(parents=True, exist_ok=True)
    return missing


def remove_empty(directories: Sequence[Path]) -> None:
    """Remove directories that are empty.

    Args:
      directories: the directories, the innermost first.
    """
    for directory in directories:
        try:
            directory.rmdir()
        except OSError:
            return


def require_parts(directory: epath.PathLike, folders: Sequence[str], files: Sequence[str]) -> None:
    """Raise an error if an output exists and parts of it cannot be written.

    Args:
      directory: the output.
      folders: the names of the directories inside it.
      files: the names of the files inside it.

    Raises:
      InputError: a part is of another kind, or cannot be written.
    """
    base: Any = epath.Path(directory)
    for name in folders:
        path = base / name
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: expected a directory, found a file. {CHOOSE_ANOTHER}")
        if is_local(path) and path.exists() and not os.access(path, os.W_OK | os.X_OK):
            raise InputError(f"{path}: {CANNOT_WRITE}. {CHOOSE_ANOTHER}")
    for name in files:
        if (base / name).is_dir():
            raise InputError(f"{base / name}: expected a file, found a directory. {CHOOSE_ANOTHER}")
