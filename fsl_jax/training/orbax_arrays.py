"""Write named arrays into a directory with Orbax, and read them."""

import contextlib
import errno
import logging as std_logging
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
    """Write arrays as an Orbax checkpoint, with one checkpointable for each item.

    With several processes, all must call this together with the same arrays; process 0 writes them.

    Args:
      directory: the directory of the checkpoint, which must not exist.
      items: for each item its arrays by name. Each item needs at least one array, and no array may
        have size zero, since Orbax refuses both.

    Raises:
      OSError: the disk is full, or writing failed for another reason.
    """
    with _orbax() as orbax, _late_writes_unreported():
        try:
            orbax.save_checkpointables(directory, items)
        except ValueError as error:
            raise _as_os_error(error, directory) from error


def read_arrays(directory: epath.Path, names: list[str]) -> dict[str, Arrays]:
    """Read items of an Orbax checkpoint that `write_arrays` wrote.

    With several processes, all must call this together.

    Args:
      directory: the directory of the checkpoint.
      names: the items to read.

    Returns:
      For each item its arrays by name, as they were written.
    """
    with _orbax() as orbax:
        return orbax.load_checkpointables(directory, dict.fromkeys(names))


@contextlib.contextmanager
def _orbax() -> Iterator[ModuleType]:
    """Import Orbax and set its options.

    Directories are created before writing starts, since otherwise a failed write leaves threads
    that wait for them. Arrays are not compressed: compressing takes longer than writing the few
    megabytes that it would save.
    """
    # The import takes half a second, so it is delayed until something is saved or restored.
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
    """Keep Orbax from logging every step of a save, and every error in each of its threads."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


@contextlib.contextmanager
def _late_writes_unreported() -> Iterator[None]:
    """Silence the tracebacks of the other writes after a write has failed.

    TensorStore's threads print one for each write that ends later, and asyncio logs one for each
    write that fails too. That can be after the error was raised, so neither is restored after an
    error.
    """
    original_hook, asyncio_log = sys.unraisablehook, std_logging.getLogger("asyncio")

    def report_others(unraisable: "sys.UnraisableHookArgs") -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            original_hook(unraisable)

    sys.unraisablehook = report_others
    asyncio_log.addFilter(_is_retrieved)
    yield
    asyncio_log.removeFilter(_is_retrieved)
    sys.unraisablehook = original_hook


def _is_retrieved(record: std_logging.LogRecord) -> bool:
    return "exception was never retrieved" not in record.getMessage()


def _as_os_error(error: ValueError, directory: epath.Path) -> Exception:
    """Return the OSError that TensorStore reports in the text of a ValueError.

    If the text reports none, return the error itself.
    """
    for number in _DISK_ERRORS:
        if os.strerror(number) in str(error):
            return OSError(number, os.strerror(number), os.fspath(directory))
    return error
