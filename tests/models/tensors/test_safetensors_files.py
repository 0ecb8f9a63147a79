import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save, save_file

from fsl_jax.errors import InputError
from fsl_jax.models.tensors import safetensors_files
from fsl_jax.models.tensors.safetensors_files import have_equal_values, open_tensors, weight_files
from tests.plugins.fuzzing import read_damaged

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


@pytest.mark.parametrize(
    "name",
    ["../model-1.safetensors", "/dev/zero", "..", "", "a\0b", "a/b", "a" * 300, "\ud800"],
)
def test_an_index_stays_in_its_directory(shards, name):
    write_index(shards, {"a": name, "b": "model-2.safetensors"})
    with pytest.raises(InputError, match="outside its directory"):
        weight_files(shards)


def test_an_index_names_no_link_out_of_its_directory(shards, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "model-1.safetensors"
    (shards / "model-1.safetensors").rename(outside)
    (shards / "model-1.safetensors").symlink_to(outside)
    with pytest.raises(InputError, match=r"outside its directory(.|\n)*model-1"):
        weight_files(shards)


def test_a_link_to_itself_is_no_shard(shards):
    (shards / "model-1.safetensors").unlink()
    (shards / "model-1.safetensors").symlink_to(shards / "model-1.safetensors")
    with pytest.raises(InputError, match=r"model-1\.safetensors"):
        weight_files(shards)


def test_links_into_the_cache_of_the_hub_are_followed(shards, tmp_path_factory):
    blobs = tmp_path_factory.mktemp("hub") / "models--some--one" / "blobs"
    blobs.mkdir(parents=True)
    for number in (1, 2):
        shard = shards / f"model-{number}.safetensors"
        shard.rename(blobs / f"{number:064x}")
        shard.symlink_to(blobs / f"{number:064x}")
    check(shards)


def test_a_single_file_may_be_a_link(tmp_path, tmp_path_factory):
    target = tmp_path_factory.mktemp("outside") / "weights"
    save_file(TENSORS, target)
    (tmp_path / "model.safetensors").symlink_to(target)
    check(tmp_path)


def test_numbers_of_64_bits_are_read_in_32(tmp_path):
    numbers = np.array([1 / 3, 1e300, -0.0])
    save_file({"a": numbers}, tmp_path / "model.safetensors")
    loaded = open_tensors(weight_files(tmp_path))["a"].load()
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, np.array([1 / 3, np.inf, -0.0], np.float32))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (np.ones((3, 2), np.float32), np.ones((3, 2), np.float16), True),
        (np.ones((3, 2), np.float32), np.ones((2, 3), np.float32), False),
        (np.float32([1, 2, 3]), np.float32([1, 2, 4]), False),
        (np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), True),
        (np.float32(1), np.float32(1), True),
        (np.ones((3, 2), ml_dtypes.bfloat16), np.ones((3, 2), np.float64), True),
    ],
)
def test_tensors_are_compared_by_their_numbers(tmp_path, one, other, equal, monkeypatch):
    """Also where they are read in several parts."""
    monkeypatch.setattr(safetensors_files, "_CHUNK", 4)
    save_file({"one": np.asarray(one), "other": np.asarray(other)}, tmp_path / "a.safetensors")
    tensors = open_tensors([tmp_path / "a.safetensors"])
    assert have_equal_values(tensors["one"], tensors["other"]) is equal


def test_tensors_without_numbers_are_compared_at_once(tmp_path):
    """Their other axes may be of any size."""
    entry = {"dtype": "F32", "shape": [2**40, 0], "data_offsets": [0, 0]}
    header = json.dumps({"one": entry, "other": entry}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    tensors = open_tensors([tmp_path / "a.safetensors"])
    assert have_equal_values(tensors["one"], tensors["other"])


def _read(data, path):
    path.write_bytes(data)
    for tensor in open_tensors([path]).values():
        tensor.load()


def _seeds():
    header = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    return [save(TENSORS), len(text).to_bytes(8, "little") + text + bytes(24)]


def test_damaged_files_are_read_or_refused(tmp_path):
    read_damaged(lambda data: _read(data, tmp_path / "a.safetensors"), _seeds())


@pytest.mark.soak
def test_many_damaged_files_are_read_or_refused(tmp_path):
    read_damaged(lambda data: _read(data, tmp_path / "a.safetensors"), _seeds(), 20_000)


def _read_index(data, shards):
    (shards / "model.safetensors.index.json").write_bytes(data)
    weight_files(shards)


def _index(shards):
    return [(shards / "model.safetensors.index.json").read_bytes()]


def test_damaged_indices_are_read_or_refused(shards):
    read_damaged(lambda data: _read_index(data, shards), _index(shards))


@pytest.mark.soak
def test_many_damaged_indices_are_read_or_refused(shards):
    read_damaged(lambda data: _read_index(data, shards), _index(shards), 20_000)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected an object in JSON, found a list"),
        ("{}", "expected a weight_map"),
        ('{"weight_map": 3}', "expected a weight_map"),
        ('{"weight_map": {"a": 3}}', "expected a weight_map"),
    ],
)
def test_an_index_that_is_none_is_an_error(shards, text, problem):
    (shards / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match=rf"index\.json: .*{problem}"):
        weight_files(shards)


def test_a_directory_without_weights_says_what_it_should_have(tmp_path):
    with pytest.raises(InputError, match=r"there is no model\.safetensors"):
        weight_files(tmp_path)


def test_pickled_weights_are_never_loaded(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="save them as safetensors"):
        weight_files(tmp_path)
