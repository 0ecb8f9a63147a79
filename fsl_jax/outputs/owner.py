"""Identify the process that holds a lock, and find out whether it still runs."""

import dataclasses
import datetime
import functools
import json
import os
import socket
import time
import uuid
from pathlib import Path

import psutil

from fsl_jax.errors import InputError
from fsl_jax.json_reader import parse_json
from fsl_jax.validation import checked_fields

_ENDED = ""


@dataclasses.dataclass(frozen=True)
class Owner:
    """The process that holds a lock.

    Attributes:
      host: the name of its host.
      machine: identifies the kernel that runs it; processes with the same one see each other.
      process: its process id.
      process_start: when the process started, which tells it from a later one with the same id.
      started: when it took the lock, as a text in UTC.
      token: a text that no other lock has.
      renewed: when the lock was last written, in seconds since 1970.
    """

    host: str
    machine: str
    process: int
    process_start: str
    started: str
    token: str
    renewed: float

    def describe(self) -> str:
        """Return the process, the host and the start of the lock for a message."""
        return f"process {self.process} on {self.host} since {self.started}"

    def has_ended(self) -> bool | None:
        """Return True if the process has ended, False if it runs, None if this cannot be seen."""
        if self.machine != machine():
            return None
        start = process_start(self.process)
        if start is None:
            return not _is_hidden(self.process)
        return start != self.process_start

    def encode(self) -> bytes:
        """Return the contents of a lock."""
        return (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode()


def this_process() -> Owner:
    """Return this process as the owner of a new lock."""
    process, now = os.getpid(), datetime.datetime.now(datetime.UTC)
    return Owner(
        host=socket.gethostname(),
        machine=machine(),
        process=process,
        process_start=process_start(process) or _ENDED,
        started=f"{now:%Y-%m-%d %H:%M:%S} UTC",
        token=uuid.uuid4().hex,
        renewed=time.time(),
    )


def decode_owner(data: bytes) -> Owner | None:
    """Return the owner in the contents of a lock, or None if they cannot be read."""
    try:
        return Owner(**checked_fields(Owner, parse_json(data, "lock")))
    except InputError:
        return None


@functools.cache
def machine() -> str:
    """Return a text that identifies the running kernel and the processes that this one sees.

    A container has processes of its own, with ids that mean others elsewhere.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{uuid.getnode():x}"


def process_start(process: int) -> str | None:
    """Return when a process started, as a text that does not change while it runs.

    Args:
      process: the process id.

    Returns:
      The text, which is empty for a process that has ended and was not collected by its parent; or
      None if there is no such process.
    """
    try:
        # Linux counts from the boot. A date would change when the clock is set.
        fields = (
            Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        )
        return _ENDED if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        pass
    try:
        running = psutil.Process(process)
        return (
            _ENDED if running.status() == psutil.STATUS_ZOMBIE else f"{running.create_time():.0f}"
        )
    except (psutil.Error, ValueError, OverflowError):
        return None


def _is_hidden(process: int) -> bool:
    """Return True if a process runs that only its own user can see."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        pass
    return False
