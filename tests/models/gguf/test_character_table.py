import numpy as np
import pytest
from tiny_gguf import character_table

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.character_table import character_steps

KEY = "tokenizer.ggml.precompiled_charsmap"
TABLE = character_table()


def changed(unit, value):
    """The table with one other unit of the trie."""
    units = np.frombuffer(TABLE[4:-2], "<u4").copy()
    units[unit] = value
    return TABLE[:4] + units.tobytes() + TABLE[-2:]


def test_the_table_replaces_characters():
    (step,) = character_steps({KEY: np.frombuffer(TABLE, np.uint8)})
    assert step.normalize_str("bee") == "baa"
    assert character_steps({}) == []
    assert character_steps({KEY: np.zeros(0, np.uint8)}) == []


MALFORMED = {
    "kind": (np.ones(3, np.float32), "of the type float32"),
    "short": (b"\1\0", "trie has 1 bytes, and there are -2"),
    "size": (b"\xff\xff\xff\x7f" + TABLE[4:], "trie has 2147483647 bytes"),
    "no trie": (b"\0\0\0\0a\0", "trie has 0 bytes"),
    "branch": (changed(0, 1 << 10 << 10), "beyond its end"),
    "far branch": (changed(0, (1 << 31) - 1), "beyond its end"),
    "value": (changed(1, 1 << 31 | 2), "beyond the replacements"),
    "replacements": (TABLE[:-2] + b"\xff\0", "not UTF-8"),
    "half a character": (changed(1, 1 << 31 | 1)[:-2] + "é\0".encode(), "middle of a character"),
}


@pytest.mark.parametrize(("table", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_table_that_leads_nowhere_is_refused(table, message):
    table = np.frombuffer(table, np.uint8) if isinstance(table, bytes) else table
    with pytest.raises(InputError, match=rf"precompiled_charsmap\) cannot be read: .*{message}"):
        character_steps({KEY: table})


def test_whatever_is_accepted_can_be_applied():
    """Change every byte of the part of the trie that is used."""
    texts = ["", "e", "bee", "\0", "é", "".join(map(chr, range(1, 300)))]
    accepted = 0
    for position in [*range(12), *range(4 + 4 * ord("e"), 8 + 4 * ord("e")), len(TABLE) - 2]:
        for value in (0, 1, 2, 4, 127, 128, 255):
            table = bytearray(TABLE)
            table[position] = value
            try:
                steps = character_steps({KEY: np.frombuffer(bytes(table), np.uint8)})
            except InputError:
                continue
            accepted += 1
            for text in texts:
                steps[0].normalize_str(text)
    assert accepted > 20
