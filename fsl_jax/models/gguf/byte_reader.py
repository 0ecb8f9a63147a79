"""Checked reading of numbers and strings from a GGUF file.

The file's contents are not trusted: every count and length is checked against the size of the file
before memory is allocated for it.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np

from fsl_jax.errors import InputError

STRING, ARRAY, BOOL = 8, 9, 7
NUMBERS = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "<u1",
    10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip
"""The dtype of each metadata type that is a number. With those above, these are all types."""

FETCH_AGAIN = "It may be damaged or cut short: fetch it again."
_LONGEST_MESSAGE = 300


class ByteReader:
    """A position in a file, and checked reading from there.

    Attributes:
      path: the file.
      bytes: its content, uint8, memory-mapped.
      view: the same content as a memoryview.
      position: the offset of the next value to read.
    """

    def __init__(self, path: Path):
        self.path = path
        self.bytes = np.memmap(path, dtype=np.uint8, mode="r")
        self.view = self.bytes.data
        self.position = 0

    def malformed(self, problem: str) -> InputError:
        """Return the error for a file that is not valid."""
        # In a damaged file a name may be megabytes long.
        if len(problem) > _LONGEST_MESSAGE:
            problem = f"{problem[:_LONGEST_MESSAGE]}…"
        return InputError(f"{self.path}: not a valid GGUF file: {problem}. {FETCH_AGAIN}")

    def expect(self, size: int, what: str) -> None:
        """Raise an error unless `size` more bytes are left."""
        left = len(self.view) - self.position
        if size > left:
            raise self.malformed(
                f"{what} at byte {self.position} needs {size} bytes and {left} are left"
            )

    def number(self, format: str, what: str) -> Any:
        """Read one number in a format of `struct`."""
        self.expect(struct.calcsize(format), what)
        (value,) = struct.unpack_from(format, self.view, self.position)
        self.position += struct.calcsize(format)
        return value

    def count(self, least_bytes: int, what: str) -> int:
        """Read the number of items that follow, each of at least `least_bytes` bytes."""
        count = self.number("<Q", f"the number of {what}")
        self.expect(count * least_bytes, f"a list of {count} {what}")
        return count

    def strings(self, count: int, what: str) -> list[str]:
        """Read `count` strings in one loop, since vocabularies are long."""
        view, size, position, strings = self.view, len(self.view), self.position, []
        length_at = struct.Struct("<Q").unpack_from
        for index in range(count):
            start = position + 8
            stop = start + length_at(view, position)[0] if start <= size else start
            if stop > size:
                self.position = position
                self.expect(stop - position, f"string {index} of {what}")
            try:
                strings.append(str(view[start:stop], "utf-8"))
            except UnicodeDecodeError as error:
                raise self.malformed(f"string {index} of {what} is not UTF-8") from error
            position = stop
        self.position = position
        return strings

    def string(self, what: str) -> str:
        """Read one string."""
        return self.strings(1, what)[0]

    def numbers(self, code: int, count: int, what: str) -> np.ndarray:
        """Read `count` numbers of the metadata type `code`."""
        dtype = np.dtype(NUMBERS[code])
        self.expect(count * dtype.itemsize, what)
        values = np.frombuffer(self.view, dtype, count, self.position).copy()
        self.position += count * dtype.itemsize
        if code != BOOL:
            return values
        if values.max(initial=0) > 1:
            raise self.malformed(f"{what} should hold 0 or 1, not {values.max()}")
        return values.astype(np.bool_)
