"""Damage files at random, and require that a reader reads or refuses each of them."""

import resource
import time
from collections.abc import Callable, Sequence
from random import Random

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from fsl_jax.errors import MAX_MESSAGE, InputError

CASES = 1000
"""Damaged files for each format."""

SECONDS = 1.0
"""Processor seconds that a reader may take for one file."""

BYTES = 500 << 20
"""Memory that a reader may take beyond what the process had, in bytes."""

TELLING = (
    *(number.to_bytes(size, "little") for size in (1, 2, 4, 8) for number in (0, 1, 127)),
    *(b"\xff" * size for size in (1, 2, 4, 8)),
    *(b"\xff" * (size - 1) + b"\x7f" for size in (2, 4, 8)),
    *(b'"', b"[", b"{", b"}", b"\n", b"\\", b"-", b"NaN", b"Infinity", b"1e999", b"null", b"0"),
    *(b"9" * 30, b"[" * 2000, b"\\ud800", b"../", b"\xc3", b"\xf0\x9f"),
)
"""Values at which readers tend to fail: limits of sizes, brackets, numbers, half characters."""


def damaged(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Return a file that differs from one of some seeds in a few places."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(data))
        match random.choice(("bit", "value", "insert", "cut", "end", "repeat")):
            case "bit" if start < len(data):
                data[start] ^= 1 << random.randint(0, 7)
            case "value":
                value = random.choice(TELLING)
                data[start : start + len(value)] = value
            case "insert":
                few = random.randbytes(random.randint(0, 8))
                data[start:start] = random.choice((few, random.choice(TELLING)))
            case "cut":
                del data[start : start + random.randint(1, 64)]
            case "end":
                del data[start:]
            case "repeat":
                part = data[start : start + random.randint(1, 64)]
                data[start:start] = part * random.randint(1, 8)
    return bytes(data)


def read_damaged(
    read: Callable[[bytes], object], seeds: Sequence[bytes], cases: int = CASES
) -> None:
    """Require that a reader reads or refuses damaged files, soon and in little memory.

    Args:
      read: takes the bytes of a file; raises `InputError` to refuse them.
      seeds: intact files, each of which `read` must accept.
      cases: the number of damaged files; `make soak` gives more.

    Raises:
      AssertionError: a file took too much time or memory, or its message is too long.
      Exception: any other error of the reader.
    """
    for seed in seeds:
        read(seed)

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    # One draw for each file: many small ones would take longer than the readers.
    @given(st.randoms(use_true_random=True))
    def read_or_refuse(random: Random) -> None:
        data = damaged(random, seeds)
        note(f"the file: {data!r}")
        seconds, message = _read_once(read, data)
        assert len(message) <= MAX_MESSAGE + 100
        # Twice, since collecting garbage in between takes time as well.
        assert seconds < SECONDS or _read_once(read, data)[0] < SECONDS

    before = _most_memory()
    read_or_refuse()
    assert _most_memory() - before < BYTES


def _read_once(read: Callable[[bytes], object], data: bytes) -> tuple[float, str]:
    """Return the processor seconds of a reader, and the message with which it refused a file."""
    # The time of this thread: threads of earlier tests may still work.
    started, message = time.thread_time(), ""
    try:
        read(data)
    except InputError as error:
        message = str(error)
    return time.thread_time() - started, message


def _most_memory() -> int:
    """Return the most memory that this process has had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
