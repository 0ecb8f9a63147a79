import numpy as np
import pytest
from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.models.tensors.tensor_files import decode_tensors, encode_tensors
from tests.plugins.fuzzing import CASES, read_damaged

PATH = epath.Path("head.safetensors")
TENSORS = {"head/kernel": np.ones((3, 2), np.float32), "head/bias": np.zeros(2, np.float32)}


def test_tensors_are_decoded_as_they_were_encoded():
    decoded = decode_tensors(encode_tensors(TENSORS), PATH)
    assert decoded.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(decoded[name], tensor)


def test_what_is_no_safetensors_file_is_refused():
    with pytest.raises(InputError, match=r"head\.safetensors: not a valid safetensors file"):
        decode_tensors(b"{}", PATH)


@pytest.mark.parametrize("cases", [CASES, pytest.param(20_000, marks=pytest.mark.soak)])
def test_damaged_files_are_refused_or_hold_other_numbers(cases):
    seeds = [encode_tensors(TENSORS), encode_tensors({})]
    read_damaged(lambda data: decode_tensors(data, PATH), seeds, cases)
