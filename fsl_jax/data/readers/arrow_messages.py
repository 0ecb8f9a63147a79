"""The sizes that the messages of an Arrow stream have once they are unfolded.

A message may be compressed, and is unfolded as a whole when it is read. Its header says to which
size; pyarrow does not tell it. The header is a flatbuffer: a table begins with the distance to the
list of its fields, which has the position of each field inside the table.
https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

_HEADER_TYPE, _HEADER = 1, 2
"""The fields of `Message`."""

_DICTIONARY, _BATCH = 2, 3
"""The types of headers with buffers."""

_DATA = 1
"""The field of `DictionaryBatch` with its `RecordBatch`."""

_BUFFERS, _COMPRESSION = 2, 3
"""The fields of `RecordBatch`."""


def largest_message(source: "pyarrow.NativeFile") -> int:
    """Return the size to which the largest compressed message of a stream unfolds, in bytes.

    Args:
      source: the stream, at its beginning.

    Returns:
      The size; 0 if no message is compressed.

    Raises:
      ValueError: the header of a message is damaged.
      OSError: the stream is.
    """
    import pyarrow

    messages = pyarrow.ipc.MessageReader.open_stream(source)
    return max((_size(message) for message in messages), default=0)


def _size(message: "pyarrow.Message") -> int:
    header, body = memoryview(message.metadata), memoryview(message.body or b"")
    try:
        return _unfolded(header, body)
    except struct.error as error:
        raise ValueError(f"the header of a message is damaged: {error}") from error


def _unfolded(header: memoryview, body: memoryview) -> int:
    """Return the size of all compressed buffers of a message once they are unfolded."""
    message = _reference(header, 0)
    kind = _field(header, message, _HEADER_TYPE)
    if kind is None or header[kind] not in (_DICTIONARY, _BATCH):
        return 0
    batch = _table(header, message, _HEADER)
    if batch is not None and header[kind] == _DICTIONARY:
        batch = _table(header, batch, _DATA)
    if batch is None or _field(header, batch, _COMPRESSION) is None:
        return 0
    buffers = _table(header, batch, _BUFFERS)
    if buffers is None:
        return 0
    (count,) = struct.unpack_from("<I", header, buffers)
    size = 0
    for index in range(count):
        start, length = struct.unpack_from("<qq", header, buffers + 4 + 16 * index)
        if length > 0:
            # Behind -1 the buffer is not compressed.
            (unfolded,) = struct.unpack_from("<q", body, start)
            size += max(unfolded, 0)
    return size


def _reference(data: memoryview, position: int) -> int:
    """Return the position to which the reference at a position leads."""
    (distance,) = struct.unpack_from("<I", data, position)
    return position + distance


def _table(data: memoryview, table: int, number: int) -> int | None:
    """Return the position of the table or list in a field; None if the field is not set."""
    field = _field(data, table, number)
    return None if field is None else _reference(data, field)


def _field(data: memoryview, table: int, number: int) -> int | None:
    """Return the position of a field of a table; None if it is not set."""
    (distance,) = struct.unpack_from("<i", data, table)
    fields = table - distance
    (size,) = struct.unpack_from("<H", data, fields)
    entry = 4 + 2 * number
    if entry >= size:
        return None
    (offset,) = struct.unpack_from("<H", data, fields + entry)
    return table + offset if offset else None
