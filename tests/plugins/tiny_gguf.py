"""GGUF files of a few kB: every architecture, and every kind of tokenizer."""

import functools
import struct

import numpy as np

from fsl_jax.models.families.registry import gguf_layouts, parameter_shapes
from fsl_jax.models.tensors.writing import write_tensors

F32, BOOL, STRING, ARRAY, U64, I64, F64 = 6, 7, 8, 9, 10, 11, 12
_CODES = {U64: "<Q", I64: "<q", F32: "<f", F64: "<d", BOOL: "<B", 0: "<B", 4: "<I", 5: "<i"}

DECODER = {
    "embedding_length": 4,
    "feed_forward_length": 8,
    "block_count": 1,
    "attention.head_count": 2,
    "attention.head_count_kv": 1,
    "context_length": 6,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "rope.dimension_count": 2,
}
LINEAR = {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
GEMMA = {"attention.key_length": 2, "attention.value_length": 2, "attention.sliding_window": 4}
MULTI_HEAD = {
    "embedding_length": 4,
    "feed_forward_length": 8,
    "block_count": 1,
    "attention.head_count": 2,
    "context_length": 6,
    "attention.layer_norm_epsilon": 1e-6,
}
T5 = {
    "embedding_length": 4,
    "feed_forward_length": 8,
    "block_count": 1,
    "decoder_block_count": 1,
    "attention.head_count": 2,
    "attention.key_length": 2,
    "attention.value_length": 2,
    "attention.relative_buckets_count": 4,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "context_length": 6,
    "decoder_start_token_id": 0,
}
LETTERS = list("abcde")
BYTE_LEVEL = {
    "model": "gpt2",
    "pre": "gpt-2",
    "tokens": ["<s>", "</s>", *LETTERS, "ab"],
    "token_type": np.int32([3, 3, 1, 1, 1, 1, 1, 1]),
    "merges": ["a b"],
    "bos_token_id": 0,
    "eos_token_id": 1,
    "add_bos_token": False,
}
PIECES = {
    "model": "llama",
    "tokens": ["<unk>", "<s>", "</s>", *LETTERS],
    "token_type": np.int32([2, 3, 3, 1, 1, 1, 4, 1]),
    "scores": np.arange(8, dtype=np.float32),
    "bos_token_id": 1,
    "eos_token_id": 2,
    "add_space_prefix": True,
}
WORD_PIECES = {
    "model": "bert",
    "tokens": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁a", "b", "▁c"],
    "token_type": np.int32([3] * 5 + [1] * 3),
    "cls_token_id": 2,
}


def character_table():
    """A table for SentencePiece that replaces `e` by `a`."""
    units = np.zeros(256, "<u4")
    # The root's children are 256 units on, which are here; a label that fits no byte is no child.
    units[:] = 1 << 31
    units[0] = 0
    units[ord("e")] = ord("e") | 1 << 8 | (ord("e") ^ 1) << 10
    units[1] = 0 | 1 << 31
    return units.nbytes.to_bytes(4, "little") + units.tobytes() + b"a\0"


UNIGRAM = {
    "model": "t5",
    "tokens": ["<pad>", "</s>", "<unk>", *LETTERS],
    "token_type": np.int32([3, 3, 2, 1, 1, 1, 4, 1]),
    "scores": np.float32([0, 0, 0, -1, -2, -3, -4, -5]),
    "eos_token_id": 1,
    "padding_token_id": 0,
    "precompiled_charsmap": np.frombuffer(character_table(), np.uint8),
    "remove_extra_whitespaces": True,
}
KINDS = {
    "llama": ("llama", {**DECODER, **LINEAR, "block_count": 2}, PIECES),
    "llama-3": ("llama", DECODER, {**BYTE_LEVEL, "pre": "llama-bpe"}),
    "mistral": ("llama", {**DECODER, "attention.sliding_window": 4}, PIECES),
    "qwen2": ("qwen2", DECODER, {**BYTE_LEVEL, "pre": "qwen2"}),
    "qwen3": ("qwen3", DECODER, {**BYTE_LEVEL, "pre": "qwen2"}),
    "gemma2": ("gemma2", {**DECODER, **GEMMA, "block_count": 2}, PIECES),
    "gemma3": (
        "gemma3",
        {**DECODER, **GEMMA, "attention.sliding_window_pattern": 2, "block_count": 2},
        PIECES,
    ),
    "gpt2": ("gpt2", MULTI_HEAD, BYTE_LEVEL),
    "bert": ("bert", {**MULTI_HEAD, "attention.causal": False}, WORD_PIECES),
    "roberta": ("bert", {**MULTI_HEAD, "attention.causal": False}, BYTE_LEVEL),
    "xlm-roberta": (
        "bert",
        {**MULTI_HEAD, "attention.causal": False},
        {**UNIGRAM, "bos_token_id": 0},
    ),
    "t5": ("t5", T5, UNIGRAM),
}
"""The architecture, the sizes and the tokenizer of each file."""


class Shape:
    """A tensor of which only the shape is known."""

    def __init__(self, *shape):
        self.shape = shape

    def load(self):
        return np.zeros(self.shape, np.float32)


def metadata_of(kind):
    """All metadata of a kind of file."""
    architecture, sizes, tokenizer = KINDS[kind]
    return {
        "general.architecture": architecture,
        **{f"{architecture}.{key}": value for key, value in sizes.items()},
        **{f"tokenizer.ggml.{key}": value for key, value in tokenizer.items()},
    }


@functools.cache
def tensors_of(kind):
    """All tensors of a kind of file, with small random numbers."""
    metadata = metadata_of(kind)
    layout = gguf_layouts()[metadata["general.architecture"]]
    config = layout.config(kind, metadata, shapes_for_config())
    random = np.random.default_rng(0)
    leaves = {
        path: random.normal(0, 0.3, shape).astype(np.float32)
        for path, shape in parameter_shapes(config).items()
    }
    return dict(write_tensors(leaves, layout.tensor_map(config)))


def shapes_for_config():
    """Tensors with which a config can be read: eight tokens, six positions, two types."""
    shapes = {
        "token_embd.weight": Shape(8, 4),
        "position_embd.weight": Shape(6, 4),
        "token_types.weight": Shape(2, 4),
    }
    return shapes | {f"blk.{layer}.ffn_up.weight": Shape(8, 4) for layer in range(2)}


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _code(value):
    """The type of a Python or NumPy value in a file."""
    if isinstance(value, bool | np.bool_):
        return BOOL
    if isinstance(value, int):
        return 4 if 0 <= value < 2**32 else U64 if value >= 0 else I64
    if isinstance(value, float):
        return F64
    return STRING if isinstance(value, str) else ARRAY


def encoded(value):
    """The type of a value and the value, as in a file."""
    code = _code(value)
    if code == STRING:
        return struct.pack("<I", STRING) + text(value)
    if code != ARRAY:
        return struct.pack("<I", code) + struct.pack(_CODES[code], value)
    if isinstance(value, np.ndarray):
        items = {"u1": 0, "i4": 5, "f4": F32, "f8": F64, "b1": BOOL}[value.dtype.str[1:]]
        return struct.pack("<IIQ", ARRAY, items, len(value)) + value.tobytes()
    if all(type(item) is int for item in value):
        items = I64 if min(value, default=0) < 0 else U64
        content = b"".join(struct.pack(_CODES[items], item) for item in value)
        return struct.pack("<IIQ", ARRAY, items, len(value)) + content
    parts = [encoded(item) for item in value]
    items = struct.unpack("<I", parts[0][:4])[0] if parts else 4
    content = b"".join(part[4:] for part in parts)
    return struct.pack("<IIQ", ARRAY, items, len(value)) + content


def gguf_bytes(metadata, tensors):
    """A file with float32 tensors."""
    directory, data = b"", b""
    for name, tensor in tensors.items():
        directory += text(name) + struct.pack("<I", tensor.ndim)
        directory += struct.pack(f"<{tensor.ndim}Q", *tensor.shape[::-1])
        directory += struct.pack("<IQ", 0, len(data))
        data += _padded(np.ascontiguousarray(tensor, "<f4").tobytes())
    entries = b"".join(text(key) + encoded(value) for key, value in metadata.items())
    counts = struct.pack("<QQ", len(tensors), len(metadata))
    return _padded(b"GGUF" + struct.pack("<I", 3) + counts + entries + directory) + data


def _padded(content):
    return content + b"\0" * (-len(content) % 32)


def tiny_gguf(kind, **changes):
    """A file of one of `KINDS`; changes of metadata by key, where None removes the key."""
    metadata = metadata_of(kind) | changes
    kept = {key: value for key, value in metadata.items() if value is not None}
    return gguf_bytes(kept, tensors_of(kind))
