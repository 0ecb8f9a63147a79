"""Orbax, and the settings we give it: named arrays into a directory and back."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
from absl import logging
from etils import epath

Arrays = dict[str, np.ndarray]

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


def write_arrays(directory: epath.Path, items: dict[str, Arrays]) -> None:
    """Writes arrays as an Orbax checkpoint, one checkpointable an item.

    With several processes all call this together, with the same arrays; process 0 writes them.

    Args:
      directory: where; it does not exist yet.
      items: for each item its arrays by name; at least one each, and none of size zero, which
        Orbax refuses.

    Raises:
      OSError: the disk is full, or cannot be written for another reason.
    """
    with _orbax() as orbax, _late_writes_unreported():
        try:
            orbax.save_checkpointables(directory, items)
        except ValueError as error:
            raise _as_os_error(error, directory) from error


def read_arrays(directory: epath.Path, names: list[str]) -> dict[str, Arrays]:
    """Reads items of an Orbax checkpoint that `write_arrays` wrote.

    With several processes all call this together.

    Args:
      directory: where they were written.
      names: the items to read.

    Returns:
      For each item its arrays by name, as they were written.
    """
    with _orbax() as orbax:
        return orbax.load_checkpointables(directory, dict.fromkeys(names))


@contextlib.contextmanager
def _orbax() -> Iterator[ModuleType]:
    """Orbax under our settings.

    Directories are made before the writing starts, or a failed write leaves threads that wait for
    them. No compression: it takes longer than writing the few megabytes that it saves.
    """
    # Half a second to import, which what never saves nor resumes is spared.
    from orbax.checkpoint import v1

    context = v1.Context()
    context.array.saving.use_compression = False
    context.array.saving.array_metadata_store = None
    context.array.saving.enable_write_sharding_file = False
    context.asynchronous.create_directories_asynchronously = False
    context.memory.deepcopy_host_arrays = False
    with context, _only_fatal_logs():
        yield v1


@contextlib.contextmanager
def _only_fatal_logs() -> Iterator[None]:
    """Keeps Orbax from logging every step of a save, and every error in each of its threads."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


@contextlib.contextmanager
def _late_writes_unreported() -> Iterator[None]:
    """Once one write has failed, TensorStore's threads print a traceback for each that ends later.

    That can be after the error was raised, so what silences them stays after an error.
    """
    report = sys.unraisablehook

    def report_others(unraisable: "sys.UnraisableHookArgs") -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            report(unraisable)

    sys.unraisablehook = report_others
    yield
    sys.unraisablehook = report


def _as_os_error(error: ValueError, directory: epath.Path) -> Exception:
    """The OSError that TensorStore reports in the text of a ValueError; else the error itself."""
    for number in _DISK_ERRORS:
        if os.strerror(number) in str(error):
            return OSError(number, os.strerror(number), os.fspath(directory))
    return error
