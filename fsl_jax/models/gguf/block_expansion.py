"""Expand blocks of quantized weights to float32: one function for each number format.

Each function writes the weights of blocks `[n]` into `weights`, float32 `[n, block_length]`. The
block layouts are ggml's (https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-common.h).
"""

import numpy as np


def _float32(column: np.ndarray) -> np.ndarray:
    """Convert numbers of each block, `[n]` or `[n, k]`, to float32 `[n, k]`; `[n]` to `[n, 1]`."""
    return column.reshape(len(column), -1).astype(np.float32)


def _nibbles(quants: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the low and the high four bits of each byte."""
    return quants & np.uint8(15), quants >> np.uint8(4)


def _halves(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split each block in two halves, which some formats keep in the low and the high nibbles."""
    middle = weights.shape[1] // 2
    return weights[:, :middle], weights[:, middle:]


def _fifth_bits(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the fifth bits of the first and the second half of a block, shifted to bit 4."""
    bits = np.unpackbits(blocks["high_bits"], axis=1, bitorder="little") << np.uint8(4)
    return _halves(bits)


def expand_plain(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Copy float32 or float16 weights."""
    weights[:, 0] = blocks


def expand_bf16(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Expand bfloat16 weights."""
    # A bfloat16 is the upper half of a float32.
    weights[:, 0] = (blocks.astype(np.uint32) << np.uint32(16)).view(np.float32)


def expand_q8_0(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Expand 32 int8 with a scale."""
    np.multiply(blocks["quants"], _float32(blocks["scale"]), out=weights)


def expand_q4_0(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Expand 32 four-bit integers with a scale."""
    scale = _float32(blocks["scale"])
    for quants, half in zip(_nibbles(blocks["quants"]), _halves(weights), strict=True):
        np.multiply(quants.view(np.int8) - np.int8(8), scale, out=half)


def expand_q4_1(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Expand 32 four-bit integers with a scale and a minimum."""
    scale, minimum = _float32(blocks["scale"]), _float32(blocks["minimum"])
    for quants, half in zip(_nibbles(blocks["quants"]), _halves(weights), strict=True):
        np.multiply(quants, scale, out=half)
    weights += minimum


def expand_q5_0(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Expand 32 five-bit integers with a scale."""
    scale = _float32(blocks["scale"])
    nibbles, fifth_bits = _nibbles(blocks["quants"]), _fifth_bits(blocks)
    for low, high, half in zip(nibbles, fifth_bits, _halves(weights), strict=True):
        np.multiply((low | high).view(np.int8) - np.int8(16), scale, out=half)


def expand_q5_1(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Expand 32 five-bit integers with a scale and a minimum."""
    scale, minimum = _float32(blocks["scale"]), _float32(blocks["minimum"])
    nibbles, fifth_bits = _nibbles(blocks["quants"]), _fifth_bits(blocks)
    for low, high, half in zip(nibbles, fifth_bits, _halves(weights), strict=True):
        np.multiply(low | high, scale, out=half)
    weights += minimum


def _scales_and_minimums(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unpack the six-bit scales and minimums of eight groups, `[n, 12]` to two `[n, 8]`.

    The first four scales and minimums are the low six bits of bytes 0-3 and 4-7. The last four have
    their low four bits in bytes 8-11, and their high two bits in the top bits of bytes 0-3 and 4-7.
    """
    first, second, third = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    low, high = _nibbles(third)
    six, top = np.uint8(63), np.uint8(6)
    scales = np.concatenate([first & six, low | (first >> top) << np.uint8(4)], axis=1)
    minimums = np.concatenate([second & six, high | (second >> top) << np.uint8(4)], axis=1)
    return scales, minimums


def _expand_in_groups(blocks: np.ndarray, quants: np.ndarray, weights: np.ndarray) -> None:
    """Expand eight groups of 32, each with a scale and a minimum; `quants` is `[n, 8, 32]`."""
    scales, minimums = _scales_and_minimums(blocks["scales"])
    scales = _float32(blocks["scale"]) * _float32(scales)
    minimums = _float32(blocks["minimum"]) * _float32(minimums)
    groups = weights.reshape(-1, 8, 32)
    np.multiply(quants, scales[:, :, None], out=groups)
    np.subtract(groups, minimums[:, :, None], out=groups)


def _nibble_groups(quants: np.ndarray) -> np.ndarray:
    """Split bytes `[n, 128]` into nibbles `[n, 8, 32]`.

    Each run of 32 bytes holds one group in its low nibbles and the next group in its high nibbles.
    """
    low, high = _nibbles(quants.reshape(-1, 4, 1, 32))
    return np.concatenate([low, high], axis=2).reshape(-1, 8, 32)


def expand_q4_k(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Expand eight groups of 32 four-bit integers."""
    _expand_in_groups(blocks, _nibble_groups(blocks["quants"]), weights)


def expand_q5_k(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Expand eight groups of 32 five-bit integers."""
    group = np.arange(8, dtype=np.uint8)[None, :, None]
    fifth_bits = (blocks["high_bits"][:, None, :] >> group & np.uint8(1)) << np.uint8(4)
    _expand_in_groups(blocks, _nibble_groups(blocks["quants"]) | fifth_bits, weights)


def expand_q6_k(blocks: np.ndarray, weights: np.ndarray) -> None:
    """Expand sixteen groups of 16 six-bit integers, each with a scale."""
    # Each half of 128 weights has 64 bytes whose low nibbles belong to the first 64 weights and
    # whose high nibbles belong to the last 64; and 32 bytes, each with the upper two bits of four
    # weights that are 32 apart.
    low, high = _nibbles(blocks["quants"].reshape(-1, 2, 1, 64))
    low_bits = np.concatenate([low, high], axis=2).reshape(-1, 2, 4, 32)
    shift = np.arange(0, 8, 2, dtype=np.uint8)[None, None, :, None]
    upper = (blocks["high_bits"].reshape(-1, 2, 1, 32) >> shift & np.uint8(3)) << np.uint8(4)
    quants = (low_bits | upper).view(np.int8).reshape(-1, 16, 16) - np.int8(32)
    scales = _float32(blocks["scale"]) * _float32(blocks["scales"])
    np.multiply(quants, scales[:, :, None], out=weights.reshape(-1, 16, 16))
