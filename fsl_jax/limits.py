"""Limits on the time and the memory of code that comes from outside, such as a chat template."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

_PAGES = Path("/proc/self/statm")


class TimeLimitError(Exception):
    """Raised in code that takes too long."""


@contextlib.contextmanager
def limited(seconds: int | float, max_bytes: int) -> Iterator[None]:
    """Stop Python code inside the `with` block that takes too much time or memory.

    The time is limited in the main thread, where a signal interrupts the code, and the memory on
    Linux. Elsewhere the code runs without that limit. While the block runs, the limit on memory
    holds for all threads, so it is for code that takes milliseconds.

    Args:
      seconds: the most seconds that the block may take.
      max_bytes: the most memory that it may add to this process, in bytes.

    Raises:
      TimeLimitError: the block took longer.
      MemoryError: the block asked for more memory.
    """
    with memory_limited(max_bytes), _time_limit(seconds):
        yield


@contextlib.contextmanager
def _time_limit(seconds: int | float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> Any:
        raise TimeLimitError(f"it took more than {seconds:g} seconds")

    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, stop)
    # Again and again, since an error that is raised inside a callback is lost.
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if remaining:
            # Somebody else's timer goes on from where it was.
            left = max(remaining - (time.monotonic() - started), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, interval)


@contextlib.contextmanager
def memory_limited(max_bytes: int) -> Iterator[None]:
    """Limit the memory that a `with` block may add to this process, on Linux.

    The limit holds for all threads, so it is for work of one thread while others rest.

    Args:
      max_bytes: the most memory that it may add, in bytes.

    Raises:
      MemoryError: the block asked for more.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = int(_PAGES.read_text().split()[0]) * resource.getpagesize() + max_bytes
    limits = [each for each in (limit, soft, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
