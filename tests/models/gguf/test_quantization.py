import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fsl_jax.models.gguf.quantization import QUANTIZATIONS, dequantize

FORMATS = {quantization.name: quantization for quantization in QUANTIZATIONS.values()}
# The same examples each time, and none kept on disk.
PROPERTY = settings(max_examples=50, deadline=None, derandomize=True, database=None)
f32 = np.float32


# One weight at a time, from ggml's descriptions of the blocks: nothing here is shared with the
# library. Each takes the bytes of one block and returns its weights.


def half(block, at):
    return f32(struct.unpack_from("<e", block, at)[0])


def nibble(quants, i):
    """Weight i of 32: the first 16 are in low nibbles, the others in high ones."""
    return quants[i] & 15 if i < 16 else quants[i - 16] >> 4


def bit(high_bits, i):
    return struct.unpack("<I", high_bits)[0] >> i & 1


def q8_0(block):
    return [half(block, 0) * f32(q) for q in struct.unpack("<32b", block[2:])]


def q4_0(block):
    return [half(block, 0) * f32(nibble(block[2:], i) - 8) for i in range(32)]


def q4_1(block):
    return [half(block, 0) * f32(nibble(block[4:], i)) + half(block, 2) for i in range(32)]


def q5_0(block):
    return [
        half(block, 0) * f32((nibble(block[6:], i) | bit(block[2:6], i) << 4) - 16)
        for i in range(32)
    ]


def q5_1(block):
    return [
        half(block, 0) * f32(nibble(block[8:], i) | bit(block[4:8], i) << 4) + half(block, 2)
        for i in range(32)
    ]


def scale_and_minimum(packed, group):
    if group < 4:
        return packed[group] & 63, packed[group + 4] & 63
    scale = packed[group + 4] & 15 | packed[group - 4] >> 6 << 4
    return scale, packed[group + 4] >> 4 | packed[group] >> 6 << 4


def q4_k(block):
    scale, minimum, packed, quants = half(block, 0), half(block, 2), block[4:16], block[16:]
    weights = []
    for i in range(256):
        group, place = divmod(i, 32)
        byte = quants[group // 2 * 32 + place]
        q = byte >> 4 if group % 2 else byte & 15
        s, m = scale_and_minimum(packed, group)
        weights.append(scale * f32(s) * f32(q) - minimum * f32(m))
    return weights


def q5_k(block):
    scale, minimum, packed = half(block, 0), half(block, 2), block[4:16]
    high_bits, quants = block[16:48], block[48:]
    weights = []
    for i in range(256):
        group, place = divmod(i, 32)
        byte = quants[group // 2 * 32 + place]
        q = (byte >> 4 if group % 2 else byte & 15) + 16 * (high_bits[place] >> group & 1)
        s, m = scale_and_minimum(packed, group)
        weights.append(scale * f32(s) * f32(q) - minimum * f32(m))
    return weights


def q6_k(block):
    quants, high_bits, scales = block[:128], block[128:192], struct.unpack("<16b", block[192:208])
    weights = []
    for i in range(256):
        side, rest = divmod(i, 128)
        quarter, place = divmod(rest, 32)
        byte = quants[64 * side + 32 * (quarter % 2) + place]
        low = byte >> 4 if quarter >= 2 else byte & 15
        upper = high_bits[32 * side + place] >> 2 * quarter & 3
        weights.append(half(block, 208) * f32(scales[i // 16]) * f32((low | upper << 4) - 32))
    return weights


# The reference, and where a block has its float16 numbers.
REFERENCES = {
    "Q4_0": (q4_0, [0]),
    "Q4_1": (q4_1, [0, 2]),
    "Q5_0": (q5_0, [0]),
    "Q5_1": (q5_1, [0, 2]),
    "Q8_0": (q8_0, [0]),
    "Q4_K": (q4_k, [0, 2]),
    "Q5_K": (q5_k, [0, 2]),
    "Q6_K": (q6_k, [208]),
}
PLAIN = {"F32", "F16", "BF16"}


def random_blocks(name, count):
    """Blocks of random bits, but for float16 numbers that are finite."""
    generator = np.random.default_rng(7)
    blocks = generator.integers(0, 256, (count, FORMATS[name].block.itemsize), dtype=np.uint8)
    for at in REFERENCES[name][1]:
        scales = generator.normal(size=(count, 1)).astype("<f2")
        blocks[:, at : at + 2] = scales.view(np.uint8)
    return blocks


def test_every_format_is_tested():
    assert set(FORMATS) == set(REFERENCES) | PLAIN


@pytest.mark.parametrize("name", REFERENCES)
def test_blocks_expand_as_the_layout_says(name):
    reference, _ = REFERENCES[name]
    blocks = random_blocks(name, count=23)
    expected = np.array([reference(block.tobytes()) for block in blocks], f32)
    weights = dequantize(blocks.reshape(-1), FORMATS[name])
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights.view(np.uint32), expected.reshape(-1).view(np.uint32))


@pytest.mark.parametrize("name", REFERENCES)
def test_many_blocks_expand_as_each_by_itself(name):
    quantization = FORMATS[name]
    blocks = random_blocks(name, count=8192 * 32 // quantization.block_length + 5)
    weights = dequantize(blocks.reshape(-1), quantization).reshape(len(blocks), -1)
    for index in (0, 1, len(blocks) - 6, len(blocks) - 5, len(blocks) - 1):
        np.testing.assert_array_equal(weights[index], dequantize(blocks[index], quantization))


@pytest.mark.parametrize(("name", "width"), [("F32", 32), ("F16", 16)])
@PROPERTY
@given(data=st.data())
def test_plain_numbers_come_back(name, width, data):
    shape = data.draw(st.integers(1, 70))
    numbers = data.draw(hnp.arrays(f"<f{width // 8}", shape, elements=st.floats(width=width)))
    weights = dequantize(numbers.view(np.uint8), FORMATS[name])
    np.testing.assert_array_equal(weights, numbers.astype(f32))


@PROPERTY
@given(hnp.arrays("<u2", st.integers(1, 70)))
def test_bfloat16_is_the_upper_half_of_float32(bits):
    weights = dequantize(bits.view(np.uint8), FORMATS["BF16"])
    np.testing.assert_array_equal(weights.view(np.uint32) >> 16, bits)
    np.testing.assert_array_equal(weights.view(np.uint32) & 0xFFFF, 0)


@PROPERTY
@given(hnp.arrays(f32, (3, 32), elements=st.floats(-100, 100, width=32)))
def test_eight_bits_come_back_within_half_a_step(weights):
    scale = (np.abs(weights).max(axis=1) / 127).astype("<f2")
    step = scale.astype(f32)[:, None]
    quants = np.divide(weights, step, out=np.zeros_like(weights), where=step > 0)
    blocks = np.concatenate(
        [scale.view(np.uint8).reshape(3, 2), np.clip(np.rint(quants), -127, 127).astype(np.int8)],
        axis=1,
        dtype=np.uint8,
        casting="unsafe",
    )
    restored = dequantize(blocks.reshape(-1), FORMATS["Q8_0"]).reshape(3, 32)
    # A float16 scale has 11 bits, fewer below 6e-5, so that the largest weights may be cut off.
    slack = np.abs(weights) * f32(2**-11) + f32(127 * 2**-25)
    assert (np.abs(restored - weights) <= step / 2 + slack).all()
