"""The number formats of GGUF tensors, and dequantization to float32.

A tensor is a sequence of blocks of `block_length` weights each. A quantized block holds small
integers, a scale and perhaps a minimum, in ggml's layout
(https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h).
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from fsl_jax.models.gguf.block_expansion import (
    expand_bf16,
    expand_plain,
    expand_q4_0,
    expand_q4_1,
    expand_q4_k,
    expand_q5_0,
    expand_q5_1,
    expand_q5_k,
    expand_q6_k,
    expand_q8_0,
)

# The number of blocks to expand at a time, so that the result stays in the processor's cache.
_BLOCKS_AT_A_TIME = 8192


@dataclasses.dataclass(frozen=True)
class Quantization:
    """A number format of GGUF.

    Attributes:
      name: its name in ggml, "Q4_1".
      code: its number in a file.
      block_length: weights in a block.
      block: the dtype of a block.
      expand: writes the weights of blocks `[n]` into a float32 array `[n, block_length]`.
    """

    name: str
    code: int
    block_length: int
    block: np.dtype
    expand: Callable[[np.ndarray, np.ndarray], None]


def dequantize(blocks: np.ndarray, quantization: Quantization) -> np.ndarray:
    """Expand quantized weights.

    Args:
      blocks: the bytes of complete blocks, uint8 `[n * quantization.block.itemsize]`.
      quantization: their format.

    Returns:
      The weights, float32 `[n * quantization.block_length]`.
    """
    blocks = blocks.view(quantization.block)
    weights = np.empty((len(blocks), quantization.block_length), np.float32)
    at_a_time = max(1, _BLOCKS_AT_A_TIME * 32 // quantization.block_length)
    for start in range(0, len(blocks), at_a_time):
        part = slice(start, start + at_a_time)
        # A damaged scale may be infinite; the caller checks that all weights are finite.
        with np.errstate(invalid="ignore", over="ignore"):
            quantization.expand(blocks[part], weights[part])
    return weights.reshape(-1)


def _block(**fields: str) -> np.dtype:
    return np.dtype(list(fields.items()))


_FORMATS = (
    Quantization("F32", 0, 1, np.dtype("<f4"), expand_plain),
    Quantization("F16", 1, 1, np.dtype("<f2"), expand_plain),
    Quantization("Q4_0", 2, 32, _block(scale="<f2", quants="16u1"), expand_q4_0),
    Quantization("Q4_1", 3, 32, _block(scale="<f2", minimum="<f2", quants="16u1"), expand_q4_1),
    Quantization("Q5_0", 6, 32, _block(scale="<f2", high_bits="4u1", quants="16u1"), expand_q5_0),
    Quantization(
        "Q5_1",
        7,
        32,
        _block(scale="<f2", minimum="<f2", high_bits="4u1", quants="16u1"),
        expand_q5_1,
    ),
    Quantization("Q8_0", 8, 32, _block(scale="<f2", quants="32i1"), expand_q8_0),
    Quantization(
        "Q4_K",
        12,
        256,
        _block(scale="<f2", minimum="<f2", scales="12u1", quants="128u1"),
        expand_q4_k,
    ),
    Quantization(
        "Q5_K",
        13,
        256,
        _block(scale="<f2", minimum="<f2", scales="12u1", high_bits="32u1", quants="128u1"),
        expand_q5_k,
    ),
    Quantization(
        "Q6_K",
        14,
        256,
        _block(quants="128u1", high_bits="64u1", scales="16i1", scale="<f2"),
        expand_q6_k,
    ),
    Quantization("BF16", 30, 1, np.dtype("<u2"), expand_bf16),
)

QUANTIZATIONS = {format.code: format for format in _FORMATS}
"""The formats that can be read, by their number in a file."""

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
    """Return the name of a format that is not in `QUANTIZATIONS`, or else its number."""
    return _OTHER_FORMATS.get(code, f"number {code}")
