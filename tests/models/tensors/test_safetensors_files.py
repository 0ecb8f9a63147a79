import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from fsl_jax.errors import InputError
from fsl_jax.models.tensors.safetensors_files import open_tensors, weight_files

TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, ml_dtypes.bfloat16)}


@pytest.fixture
def shards(tmp_path):
    """Two tensors in two shards, with an index."""
    save_file({"a": TENSORS["a"]}, tmp_path / "model-1.safetensors")
    save_file({"b": TENSORS["b"]}, tmp_path / "model-2.safetensors")
    write_index(tmp_path, {"a": "model-1.safetensors", "b": "model-2.safetensors"})
    return tmp_path


def write_index(directory, weight_map):
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def check(directory):
    tensors = open_tensors(weight_files(directory))
    assert {name: tensor.shape for name, tensor in tensors.items()} == {"a": (2, 3), "b": (4,)}
    for name, tensor in tensors.items():
        loaded = tensor.load()
        assert loaded.dtype == TENSORS[name].dtype
        np.testing.assert_array_equal(loaded, TENSORS[name])


def test_one_file_is_read(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    check(tmp_path)


def test_shards_are_read(shards):
    check(shards)


def test_every_cut_of_a_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"model\.safetensors: not a valid safetensors file"):
            open_tensors([path])


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [2, 4]},
        {"shape": [3]},
        {"dtype": "F16"},
        {"data_offsets": [0, 32], "shape": [2, 4]},
        {"data_offsets": [0, 2**62]},
        {"shape": [2**62, 2**62]},
    ],
)
def test_a_header_that_claims_what_the_file_does_not_hold_is_an_error(tmp_path, changes):
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]} | changes
    header = json.dumps({"a": entry}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    with pytest.raises(InputError, match=r"model\.safetensors: not a valid safetensors file"):
        open_tensors([path])


def test_weights_that_are_quantized_are_refused_when_they_are_read(tmp_path):
    save_file({"a": np.ones((2, 3), np.int8)}, tmp_path / "model.safetensors")
    tensor = open_tensors(weight_files(tmp_path))["a"]
    with pytest.raises(InputError, match="a holds numbers of type I8; expected F32, F16, BF16"):
        tensor.load()


def test_missing_shards_are_listed(shards):
    (shards / "model-1.safetensors").unlink()
    (shards / "model-2.safetensors").unlink()
    with pytest.raises(InputError, match="shards are missing") as error:
        weight_files(shards)
    assert "model-1.safetensors" in str(error.value)
    assert "model-2.safetensors" in str(error.value)


def test_a_tensor_in_two_shards_is_an_error(shards):
    save_file(TENSORS, shards / "model-2.safetensors")
    with pytest.raises(InputError, match=r"a is in model-1\.safetensors and in model-2"):
        open_tensors(weight_files(shards))


def test_an_index_stays_in_its_directory(shards):
    write_index(shards, {"a": "../model-1.safetensors", "b": "model-2.safetensors"})
    with pytest.raises(InputError, match="outside its directory"):
        weight_files(shards)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_an_index_that_is_none_is_an_error(shards, text):
    (shards / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match="not a valid index"):
        weight_files(shards)


def test_a_directory_without_weights_says_what_it_should_have(tmp_path):
    with pytest.raises(InputError, match=r"there is no model\.safetensors"):
        weight_files(tmp_path)


def test_pickled_weights_are_never_loaded(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="save them as safetensors"):
        weight_files(tmp_path)
