"""Let one process at a time write an output.

The writer holds a lock: a small file that names its host, its process and when it started. On a
local disk and on NFS, the file appears with its content or not at all, since it is made by a hard
link, which succeeds for one process only. In an object store it is created if it does not exist,
where the store's package can do so, and it is read again after a moment in any case.

The writer renews the lock every few seconds. A lock is stale if its process is gone, which other
processes on the same host can see, or if it was not renewed for minutes, as seen from other hosts.
A stale lock is taken over with a warning. A writer whose lock was taken over ends at once.

Limits: a writer that stands still for longer than `STALE_SECONDS` and then goes on may write for up
to `RENEW_SECONDS` beside the process on another host that took over. In an object store, clocks of
hosts that differ by minutes have the same effect.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from absl import logging
from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.files import is_local
from fsl_jax.outputs.checks import explaining, make_directory, remove_empty, require_usable
from fsl_jax.outputs.lock_file import LockFile, lock_file
from fsl_jax.outputs.names import absolute, directory_name
from fsl_jax.outputs.owner import Owner, this_process

LOCK_NAME = ".being_written.json"
"""The name of the lock inside a directory. The lock beside a path has the path's name in it."""

RENEW_SECONDS = 20.0
"""Seconds between two renewals of a lock."""

STALE_SECONDS = 180.0
"""Seconds without renewal after which another host takes a lock over."""

SETTLE_SECONDS = 1.0
"""Seconds after which a lock is read again where two hosts may have taken it at once."""

_ATTEMPTS = 5


@contextlib.contextmanager
def hold_directory(directory: epath.PathLike) -> Iterator[None]:
    """Hold the lock of a directory that a command writes to, and create the directory.

    A directory that is still empty at the end is removed again if it was created here.

    Args:
      directory: the directory.

    Yields:
      Nothing; inside the block, no other process holds the same directory.

    Raises:
      InputError: another process writes to the directory, or it cannot be written to.
    """
    require_usable(directory)
    with explaining(directory):
        created = make_directory(directory)
    try:
        with _held(epath.Path(directory) / LOCK_NAME, directory):
            yield
    finally:
        remove_empty(created)


@contextlib.contextmanager
def hold_path(path: epath.PathLike) -> Iterator[None]:
    """Hold the lock of a file, or of a directory that is written as a whole; it is not created.

    Args:
      path: the file or directory; the lock is beside it.

    Yields:
      Nothing; inside the block, no other process holds the same path.

    Raises:
      InputError: another process writes to the path, or its directory cannot be written to.
    """
    require_usable(path)
    whole = epath.Path(absolute(path) if is_local(path) else path)
    with explaining(path):
        created = make_directory(whole.parent)
    try:
        with _held(_beside(whole), path):
            yield
    finally:
        remove_empty(created)


def require_free(directory: epath.PathLike) -> None:
    """Raise an error if another process writes to a directory; remove a stale lock.

    Args:
      directory: the directory, which need not exist and may be read-only.

    Raises:
      InputError: another process writes to the directory, or no package can read it.
    """
    require_usable(directory)
    with explaining(directory):
        lock = lock_file(epath.Path(directory) / LOCK_NAME)
        if lock.exists():
            # A finished study in a read-only directory can still be read.
            with contextlib.suppress(OSError), lock.guard():
                _clear(lock, directory)


def _beside(path: epath.Path) -> epath.Path:
    return path.parent / LOCK_NAME.replace(".json", f"-{directory_name(path.name)}.json")


@contextlib.contextmanager
def _held(path: epath.Path, name: Any) -> Iterator[None]:
    """Take a lock, renew it in a thread, and remove it at the end."""
    lock, owner = lock_file(path), this_process()
    with explaining(name):
        _take(lock, owner, name)
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(lock, owner, name, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(RENEW_SECONDS)
        # What was written counts more than a lock that cannot be removed.
        with contextlib.suppress(Exception):
            if _is_held(lock, owner):
                lock.remove()


def _take(lock: LockFile, owner: Owner, name: Any) -> None:
    failure = None
    for _ in range(_ATTEMPTS):
        try:
            with lock.guard():
                may_be_shared = _clear(lock, name)
                taken = lock.create(owner)
        except FileNotFoundError as error:
            # A process that ended has just removed its empty directory.
            make_directory(lock.path.parent)
            failure = error
            continue
        if not taken:
            continue
        if may_be_shared or not is_local(lock.path):
            time.sleep(SETTLE_SECONDS)
        if _is_held(lock, owner):
            return
    if failure is not None and not lock.exists():
        raise failure
    raise InputError(f"{name} is being written by several processes: choose another output")


def _clear(lock: LockFile, name: Any) -> bool:
    """Remove a stale lock.

    Returns:
      True if another host may remove the same lock at the same time.

    Raises:
      InputError: the lock is not stale.
    """
    if not lock.exists():
        return False
    owner = lock.read()
    has_ended = owner.has_ended() if owner else None
    age = lock.age() if has_ended is None else 0.0
    if has_ended is False or (has_ended is None and age < STALE_SECONDS):
        raise InputError(_refusal(owner, has_ended, name))
    lock.remove()
    described = owner.describe() if owner else "an unknown process"
    reason = "has ended" if has_ended else f"gave no sign of life for {age / 60:.0f} minutes"
    logging.warning(
        "%s was being written by %s, which %s. This process takes over.", name, described, reason
    )
    return has_ended is None


def _refusal(owner: Owner | None, has_ended: bool | None, name: Any) -> str:
    described = owner.describe() if owner else "an unknown process"
    advice = "wait until it has ended, stop it, or choose another output"
    if has_ended is None:
        advice += f". If it was killed, this is noticed after {STALE_SECONDS / 60:.0f} minutes"
    return f"{name} is being written by {described}: {advice}"


def _is_held(lock: LockFile, owner: Owner) -> bool:
    current = lock.read()
    return current is not None and current.token == owner.token


def _renew(lock: LockFile, owner: Owner, name: Any, ended: threading.Event) -> None:
    """Renew a lock until it is given back, and end the process if another one has taken it."""
    while not ended.wait(RENEW_SECONDS):
        # A network may fail for a moment.
        with contextlib.suppress(Exception):
            current = lock.read()
            if current is not None and current.token != owner.token:
                end_process(f"error: {name} was taken over by {current.describe()}")
            elif current is None:
                lock.create(owner)
            else:
                lock.renew(owner)


def end_process(message: str) -> None:
    """End this process at once, so that it writes nothing more."""
    print(message, file=sys.stderr, flush=True)
    os._exit(1)
