"""SentencePiece's table of characters, which a GGUF file holds as bytes.

The bytes are the size of a trie, the trie in 32-bit units, and the replacements, each with a zero
behind it. The trie is a double array (https://github.com/s-yata/darts-clone). The library that
applies the table does not check where the trie points to, and panics while it encodes a text.
"""

import numpy as np
from tokenizers import normalizers

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata, metadata_value

_KEY = "tokenizer.ggml.precompiled_charsmap"
_SIZE_BYTES, _UNIT_BYTES = 4, 4
_VALUE = np.uint32(2**31 - 1)


def character_steps(metadata: Metadata) -> list[normalizers.Normalizer]:
    """Return the step that applies the table of characters, or none if there is no table.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      At most one step.

    Raises:
      InputError: the table is malformed.
    """
    table = metadata_value(metadata, _KEY, np.ndarray, np.zeros(0, np.uint8))
    if not len(table):
        return []
    if table.dtype.kind not in "iu" or table.dtype.itemsize != 1:
        raise _malformed(f"its items are of the type {table.dtype}, not bytes")
    content = table.tobytes()
    _require_sound(content)
    return [normalizers.Precompiled(content)]


def _require_sound(content: bytes) -> None:
    """Raise an error if the trie leads out of itself or of the replacements."""
    size = int.from_bytes(content[:_SIZE_BYTES], "little")
    start = _SIZE_BYTES + size
    if not size or size % _UNIT_BYTES or start > len(content):
        raise _malformed(f"its trie has {size} bytes, and there are {len(content) - _SIZE_BYTES}")
    units = np.frombuffer(content, "<u4", size // _UNIT_BYTES, _SIZE_BYTES)
    try:
        content[start:].decode()
    except UnicodeDecodeError as error:
        raise _malformed("its replacements are not UTF-8") from error
    # A unit with the highest bit is a value, but the library takes the first for a node anyway.
    nodes = np.flatnonzero((units <= _VALUE) | (np.arange(len(units)) == 0))
    branches = units[nodes]
    bases = nodes ^ ((branches >> 10).astype(np.int64) << ((branches & 512) >> 6).astype(np.int64))
    # A node's children are at its base with another last byte; its value is at the base.
    if len(nodes) and int((bases | 255).max()) >= len(units):
        raise _malformed("its trie points beyond its end")
    values = (units[bases[branches & 256 != 0]] & _VALUE).astype(np.int64)
    replacements = np.frombuffer(content, np.uint8, offset=start)
    if len(values) and int(values.max()) >= len(replacements):
        raise _malformed("its trie points beyond the replacements")
    if (replacements[values] & 0xC0 == 0x80).any():
        raise _malformed("its trie points into the middle of a character")


def _malformed(problem: str) -> InputError:
    return InputError(
        f"the table of characters in the GGUF metadata ({_KEY}) cannot be read: {problem}. "
        f"{CONVERT_AGAIN}"
    )
