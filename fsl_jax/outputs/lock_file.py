"""The file of a lock, on a disk or in an object store: create, read, renew and remove it."""

import contextlib
import dataclasses
import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from etils import epath

from fsl_jax.files import STAGING, is_local
from fsl_jax.outputs.names import absolute
from fsl_jax.outputs.owner import Owner, decode_owner

_GUARD_SECONDS = 2.0
"""Seconds to wait for other processes on this host that create or remove the same lock."""


@dataclasses.dataclass(frozen=True)
class LocalLockFile:
    """A lock on a local disk or on NFS, renewed by its time of modification.

    Attributes:
      path: the absolute path of the file.
    """

    path: Path

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Lock the directory by the kernel for a moment; go on without if that is not possible."""
        descriptor = os.open(self.path.parent, os.O_RDONLY)
        try:
            deadline = time.monotonic() + _GUARD_SECONDS
            while not _lock_by_kernel(descriptor) and time.monotonic() < deadline:
                time.sleep(0.01)
            yield
        finally:
            os.close(descriptor)

    def create(self, owner: Owner) -> bool:
        """Create the file with its contents at once; return False if it exists."""
        staging = self._write_staging(owner.encode())
        try:
            return _link(staging, self.path)
        finally:
            staging.unlink(missing_ok=True)

    def exists(self) -> bool:
        """Return True if the file exists."""
        return os.path.lexists(self.path)

    def read(self) -> Owner | None:
        """Return the owner in the file; None if there is no file or it cannot be read."""
        return _read(self.path)

    def age(self) -> float:
        """Return the seconds since the last renewal, by the clock of the file system."""
        staging = self._write_staging(b"")
        try:
            return staging.stat().st_mtime - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        finally:
            staging.unlink(missing_ok=True)

    def renew(self, owner: Owner) -> None:
        """Set the time of modification to now."""
        os.utime(self.path)

    def remove(self) -> None:
        """Remove the file, which need not exist."""
        self.path.unlink(missing_ok=True)

    def _write_staging(self, data: bytes) -> Path:
        staging = self.path.parent / f"{STAGING}lock-{uuid.uuid4().hex[:8]}"
        with staging.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return staging


@dataclasses.dataclass(frozen=True)
class StoredLockFile:
    """A lock in an object store, renewed by writing it again.

    Attributes:
      path: the path of the object.
    """

    path: epath.Path

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Do nothing: an object store has no such lock."""
        yield

    def create(self, owner: Owner) -> bool:
        """Create the object; return False if it exists."""
        from fsspec.core import url_to_fs

        if self.exists():
            return False
        try:
            store, name = url_to_fs(os.fspath(self.path))
            # Some stores can do this at once. Others check first, so it must be read again later.
            store.pipe_file(name, owner.encode(), mode="create")
        except ImportError:
            # `epath` uses TensorFlow where that is installed and the store's package is not.
            self.path.write_bytes(owner.encode())
        except FileExistsError:
            return False
        return True

    def exists(self) -> bool:
        """Return True if the object exists."""
        return self.path.exists()

    def read(self) -> Owner | None:
        """Return the owner in the object; None if there is no object or it cannot be read."""
        return _read(self.path)

    def age(self) -> float:
        """Return the seconds since the last renewal, by the clocks of the two hosts."""
        owner = self.read()
        return time.time() - owner.renewed if owner else float("inf")

    def renew(self, owner: Owner) -> None:
        """Write the object again with the time."""
        self.path.write_bytes(dataclasses.replace(owner, renewed=time.time()).encode())

    def remove(self) -> None:
        """Remove the object, which need not exist."""
        self.path.unlink(missing_ok=True)


LockFile = LocalLockFile | StoredLockFile
"""A file that one process can create, in a directory that exists."""


def lock_file(path: epath.PathLike) -> LockFile:
    """Return the lock for a path, by the kind of file system."""
    if is_local(path):
        return LocalLockFile(absolute(path))
    return StoredLockFile(epath.Path(path))


def _read(path: Path | epath.Path) -> Owner | None:
    try:
        return decode_owner(path.read_bytes())
    except FileNotFoundError:
        return None


def _lock_by_kernel(descriptor: int) -> bool:
    """Return False if another process has the lock, which ends with the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # The file system has no such locks.
        return True
    return True


def _link(staging: Path, path: Path) -> bool:
    """Make a hard link, and return False if the path exists."""
    try:
        os.link(staging, path)
    except FileExistsError:
        return False
    except FileNotFoundError:
        raise
    except OSError:
        # On NFS, the answer may be lost after the link was made.
        if staging.stat().st_nlink == 2:
            return True
        return _copy_exclusively(staging, path)
    return True


def _copy_exclusively(staging: Path, path: Path) -> bool:
    """Create a file on a file system without hard links, and return False if it exists."""
    try:
        with path.open("xb") as file:
            file.write(staging.read_bytes())
    except FileExistsError:
        return False
    return True
