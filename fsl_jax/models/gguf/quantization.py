"""The number formats of GGUF tensors, and their expansion to float32.

A tensor is a row of blocks of `block_length` weights each. A quantized block holds small integers,
a scale and perhaps a minimum, as ggml lays them out
(https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h).
"""

import dataclasses
from collections.abc import Callable

import numpy as np

# Blocks expanded at a time: what they expand to stays in the processor's cache.
_BLOCKS_AT_A_TIME = 8192


@dataclasses.dataclass(frozen=True)
class Quantization:
    """A number format of GGUF.

    Attributes:
      name: its name in ggml, "Q4_1".
      code: the number that stands for it in a file.
      block_length: weights in a block.
      block: a block in memory.
      expand: writes blocks `[n]` as float32 weights into `[n, block_length]`.
    """

    name: str
    code: int
    block_length: int
    block: np.dtype
    expand: Callable[[np.ndarray, np.ndarray], None]


def dequantize(blocks: np.ndarray, quantization: Quantization) -> np.ndarray:
    """Expands quantized weights.

    Args:
      blocks: the bytes of whole blocks, uint8 `[n * quantization.block.itemsize]`.
      quantization: their format.

    Returns:
      The weights, float32 `[n * quantization.block_length]`.
    """
    blocks = blocks.view(quantization.block)
    weights = np.empty((len(blocks), quantization.block_length), np.float32)
    at_a_time = max(1, _BLOCKS_AT_A_TIME * 32 // quantization.block_length)
    for start in range(0, len(blocks), at_a_time):
        part = slice(start, start + at_a_time)
        # A damaged scale may be infinite; who asked for the weights looks at them as a whole.
        with np.errstate(invalid="ignore", over="ignore"):
            quantization.expand(blocks[part], weights[part])
    return weights.reshape(-1)


def _float32(column: np.ndarray) -> np.ndarray:
    """Numbers of each block `[n]` or `[n, k]` as float32 `[n, k]`."""
    return column.reshape(len(column), -1).astype(np.float32)


def _nibbles(quants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The low and the high four bits of each byte."""
    return quants & np.uint8(15), quants >> np.uint8(4)


def _halves(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second half of each block, for formats that keep one in each nibble."""
    middle = weights.shape[1] // 2
    return weights[:, :middle], weights[:, middle:]


def _fifth_bits(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fifth bit of every weight, in its place, of the first and of the second half."""
    bits = np.unpackbits(blocks["high_bits"], axis=1, bitorder="little") << np.uint8(4)
    return _halves(bits)


def _expand_plain(blocks: np.ndarray, weights: np.ndarray) -> None:
    weights[:, 0] = blocks


def _expand_bf16(blocks: np.ndarray, weights: np.ndarray) -> None:
    # A bfloat16 is the upper half of a float32.
    weights[:, 0] = (blocks.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _expand_q8_0(blocks: np.ndarray, weights: np.ndarray) -> None:
    np.multiply(blocks["quants"], _float32(blocks["scale"]), out=weights)


def _expand_q4_0(blocks: np.ndarray, weights: np.ndarray) -> None:
    scale = _float32(blocks["scale"])
    for quants, half in zip(_nibbles(blocks["quants"]), _halves(weights), strict=True):
        np.multiply(quants.view(np.int8) - np.int8(8), scale, out=half)


def _expand_q4_1(blocks: np.ndarray, weights: np.ndarray) -> None:
    scale, minimum = _float32(blocks["scale"]), _float32(blocks["minimum"])
    for quants, half in zip(_nibbles(blocks["quants"]), _halves(weights), strict=True):
        np.multiply(quants, scale, out=half)
    weights += minimum


def _expand_q5_0(blocks: np.ndarray, weights: np.ndarray) -> None:
    scale = _float32(blocks["scale"])
    nibbles, fifth_bits = _nibbles(blocks["quants"]), _fifth_bits(blocks)
    for low, high, half in zip(nibbles, fifth_bits, _halves(weights), strict=True):
        np.multiply((low | high).view(np.int8) - np.int8(16), scale, out=half)


def _expand_q5_1(blocks: np.ndarray, weights: np.ndarray) -> None:
    scale, minimum = _float32(blocks["scale"]), _float32(blocks["minimum"])
    nibbles, fifth_bits = _nibbles(blocks["quants"]), _fifth_bits(blocks)
    for low, high, half in zip(nibbles, fifth_bits, _halves(weights), strict=True):
        np.multiply(low | high, scale, out=half)
    weights += minimum


def _scales_and_minimums(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unpacks the six-bit scales and minimums of eight groups, `[n, 12]` to two `[n, 8]`.

    The first four of each are the low six bits of bytes 0-3 and 4-7; the last four have their low
    bits in bytes 8-11 and their high two bits on top of the first four.
    """
    first, second, third = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    low, high = _nibbles(third)
    six, top = np.uint8(63), np.uint8(6)
    scales = np.concatenate([first & six, low | (first >> top) << np.uint8(4)], axis=1)
    minimums = np.concatenate([second & six, high | (second >> top) << np.uint8(4)], axis=1)
    return scales, minimums


def _expand_in_groups(blocks: np.ndarray, quants: np.ndarray, weights: np.ndarray) -> None:
    """Eight groups of 32 with a scale and a minimum each; `quants` is `[n, 8, 32]`."""
    scales, minimums = _scales_and_minimums(blocks["scales"])
    scales = _float32(blocks["scale"]) * _float32(scales)
    minimums = _float32(blocks["minimum"]) * _float32(minimums)
    groups = weights.reshape(-1, 8, 32)
    np.multiply(quants, scales[:, :, None], out=groups)
    np.subtract(groups, minimums[:, :, None], out=groups)


def _nibble_groups(quants: np.ndarray) -> np.ndarray:
    """Bytes `[n, 128]` to `[n, 8, 32]`: each run of 32 bytes holds a group in its low nibbles and
    the next group in its high ones."""
    low, high = _nibbles(quants.reshape(-1, 4, 1, 32))
    return np.concatenate([low, high], axis=2).reshape(-1, 8, 32)


def _expand_q4_k(blocks: np.ndarray, weights: np.ndarray) -> None:
    _expand_in_groups(blocks, _nibble_groups(blocks["quants"]), weights)


def _expand_q5_k(blocks: np.ndarray, weights: np.ndarray) -> None:
    group = np.arange(8, dtype=np.uint8)[None, :, None]
    fifth_bits = (blocks["high_bits"][:, None, :] >> group & np.uint8(1)) << np.uint8(4)
    _expand_in_groups(blocks, _nibble_groups(blocks["quants"]) | fifth_bits, weights)


def _expand_q6_k(blocks: np.ndarray, weights: np.ndarray) -> None:
    # Each half of 128 weights: 64 bytes whose low nibbles belong to the first 64 weights and whose
    # high ones to the last; 32 bytes with the upper two bits of four weights that lie 32 apart.
    low, high = _nibbles(blocks["quants"].reshape(-1, 2, 1, 64))
    low_bits = np.concatenate([low, high], axis=2).reshape(-1, 2, 4, 32)
    shift = np.arange(0, 8, 2, dtype=np.uint8)[None, None, :, None]
    upper = (blocks["high_bits"].reshape(-1, 2, 1, 32) >> shift & np.uint8(3)) << np.uint8(4)
    quants = (low_bits | upper).view(np.int8).reshape(-1, 16, 16) - np.int8(32)
    scales = _float32(blocks["scale"]) * _float32(blocks["scales"])
    np.multiply(quants, scales[:, :, None], out=weights.reshape(-1, 16, 16))


def _block(**fields: str) -> np.dtype:
    return np.dtype(list(fields.items()))


_FORMATS = (
    Quantization("F32", 0, 1, np.dtype("<f4"), _expand_plain),
    Quantization("F16", 1, 1, np.dtype("<f2"), _expand_plain),
    Quantization("Q4_0", 2, 32, _block(scale="<f2", quants="16u1"), _expand_q4_0),
    Quantization("Q4_1", 3, 32, _block(scale="<f2", minimum="<f2", quants="16u1"), _expand_q4_1),
    Quantization("Q5_0", 6, 32, _block(scale="<f2", high_bits="4u1", quants="16u1"), _expand_q5_0),
    Quantization(
        "Q5_1",
        7,
        32,
        _block(scale="<f2", minimum="<f2", high_bits="4u1", quants="16u1"),
        _expand_q5_1,
    ),
    Quantization("Q8_0", 8, 32, _block(scale="<f2", quants="32i1"), _expand_q8_0),
    Quantization(
        "Q4_K",
        12,
        256,
        _block(scale="<f2", minimum="<f2", scales="12u1", quants="128u1"),
        _expand_q4_k,
    ),
    Quantization(
        "Q5_K",
        13,
        256,
        _block(scale="<f2", minimum="<f2", scales="12u1", high_bits="32u1", quants="128u1"),
        _expand_q5_k,
    ),
    Quantization(
        "Q6_K",
        14,
        256,
        _block(quants="128u1", high_bits="64u1", scales="16i1", scale="<f2"),
        _expand_q6_k,
    ),
    Quantization("BF16", 30, 1, np.dtype("<u2"), _expand_bf16),
)

QUANTIZATIONS = {format.code: format for format in _FORMATS}
"""The known formats, by the number that stands for each in a file."""

_OTHER_FORMATS = {
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
}


def format_name(code: int) -> str:
    """What a format is called that is not one of the `QUANTIZATIONS`, or else its number."""
    return _OTHER_FORMATS.get(code, f"number {code}")
