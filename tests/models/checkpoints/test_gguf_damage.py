"""Damaged and hostile GGUF files are read or refused, soon and in little memory."""

import time

import numpy as np
import pytest
from fuzzing import CASES, read_damaged
from tiny_gguf import KINDS, gguf_bytes, metadata_of, tensors_of, tiny_gguf

from fsl_jax.errors import MAX_MESSAGE, InputError
from fsl_jax.models.checkpoints import gguf_file
from fsl_jax.models.checkpoints.weights_cache import CachedWeights
from fsl_jax.models.gguf.reader import GGUFFile
from fsl_jax.models.tensors.stored import in_memory

TEXTS = ["a be d <s> é </s>", "", "e\0"]
# One kind for each reader of sizes and each kind of tokenizer.
SOME_KINDS = ("llama", "gemma3", "gpt2", "bert", "t5")


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads the bytes of a file, but for the weights, whose shapes take a tenth of a second."""

    def read(data):
        path = tmp_path / "model.gguf"
        path.write_bytes(data)
        gguf_file.read_gguf_checkpoint(path).tokenizer(TEXTS, verbose=False)

    no_weights = CachedWeights({}, "")
    monkeypatch.setattr(gguf_file, "cached_weights", lambda *args: no_weights)
    return read


@pytest.fixture
def problem_of(read, tmp_path, monkeypatch):
    """Reads a checkpoint from metadata and tensors, and gives the message if it is refused."""

    def problem_of(metadata, tensors):
        file = GGUFFile(metadata, {name: in_memory(array) for name, array in tensors.items()})
        monkeypatch.setattr(gguf_file, "read_gguf_parts", lambda path: (file, [path]))
        started, problem = time.process_time(), ""
        try:
            gguf_file.read_gguf_checkpoint(tmp_path).tokenizer(TEXTS, verbose=False)
        except InputError as error:
            problem = str(error)
        assert len(problem) <= MAX_MESSAGE + 100
        assert time.process_time() - started < 1
        return problem

    return problem_of


@pytest.mark.parametrize("cases", [CASES, pytest.param(20_000, marks=pytest.mark.soak)])
def test_damaged_bytes_are_read_or_refused(read, cases):
    read_damaged(read, [tiny_gguf(kind) for kind in KINDS], cases)


WRONG = {
    "truth": True,
    "number": 3,
    "negative": -2,
    "huge": 2**63,
    "fraction": 0.5,
    "not a number": float("nan"),
    "infinite": float("inf"),
    "tiny": 1e-320,
    "text": "x",
    "numbers": np.int64([1, 2]),
    "equal numbers": np.uint32([2, 2]),
    "fractions": np.float64([0.5, float("nan")]),
    "truths": np.array([True, False]),
    "texts": ["a", "b"],
    "empty": np.zeros(0, np.uint32),
    "no texts": [],
}


@pytest.mark.parametrize("kind", SOME_KINDS)
def test_a_value_of_another_kind_is_read_or_refused_by_name(problem_of, kind):
    for key in metadata_of(kind):
        for name, value in WRONG.items():
            problem = problem_of(metadata_of(kind) | {key: value}, tensors_of(kind))
            # An array of texts is the right kind for a vocabulary, in which others are missing.
            is_vocabulary = name == "texts" and "vocabulary" in problem
            assert not problem or key.rpartition(".")[2] in problem or is_vocabulary, (key, name)


def damaged(random):
    """Metadata with a few other values and keys, and other tensors."""
    kind = random.choice(list(KINDS))
    metadata, tensors = metadata_of(kind), dict(tensors_of(kind))
    for _ in range(random.integers(1, 4)):
        keys, names = list(metadata), list(tensors)
        key, other = (keys[number] for number in random.integers(0, len(keys), 2))
        name = names[random.integers(0, len(names))]
        match random.integers(0, 7):
            case 0 if len(keys) > 2:
                del metadata[key]
            case 1:
                metadata[key] = metadata[other]
            case 2 | 3:
                metadata[key] = list(WRONG.values())[random.integers(0, len(WRONG))]
            case 4 if isinstance(metadata[key], list | np.ndarray) and len(metadata[key]) > 1:
                items = metadata[key].copy()
                items[0], items[-1] = items[-1], items[random.integers(0, len(items))]
                metadata[key] = items
            case 5 if len(names) > 1:
                del tensors[name]
            case 6:
                tensors[name] = np.zeros(random.integers(1, 9, random.integers(1, 4)), np.float32)
    return metadata, tensors


def test_other_metadata_and_tensors_are_read_or_refused(problem_of):
    random = np.random.default_rng(0)
    refused = sum(bool(problem_of(*damaged(random))) for _ in range(1000))
    assert 500 < refused < 1000


@pytest.mark.parametrize("kind", SOME_KINDS)
def test_sizes_are_bounded_by_what_the_file_has(problem_of, kind):
    """A changed bit in a count is refused before anything of that size is made."""
    architecture, sizes, _ = KINDS[kind]
    for key, value in sizes.items():
        # Nothing is made of the size of these.
        if type(value) is not int or key == "context_length" or "sliding_window" in key:
            continue
        for bit in (6, 20, 30, 31, 62):
            changed = {f"{architecture}.{key}": value ^ 1 << bit}
            problem = problem_of(metadata_of(kind) | changed, tensors_of(kind))
            assert key.rpartition(".")[2] in problem
            assert len(problem) < 1000


def test_equal_sizes_for_each_layer_are_read(problem_of):
    def problem(**arrays):
        arrays = {f"llama.{key.replace('__', '.')}": value for key, value in arrays.items()}
        return problem_of(metadata_of("llama") | arrays, tensors_of("llama"))

    two, one = np.uint32([2, 2]), np.uint32([1, 1])
    assert not problem(attention__head_count=two, attention__head_count_kv=one)
    assert not problem(feed_forward_length=np.int32([8, 8]))
    different = problem(feed_forward_length=np.int32([8, 4]))
    assert "feed_forward_length is [8, 4]; expected the same number for each of 2" in different
    assert "head_count_kv is [1]; expected" in problem(attention__head_count_kv=one[:1])


def test_all_parts_of_a_split_file_make_one_model(tmp_path, monkeypatch):
    monkeypatch.setenv("FSL_JAX_CACHE", str(tmp_path / "cache"))
    tensors = list(tensors_of("llama").items())
    whole = tmp_path / "whole.gguf"
    whole.write_bytes(tiny_gguf("llama"))
    for number, part in enumerate((tensors[:5], tensors[5:])):
        split = {"split.no": number, "split.count": 2, "split.tensors.count": len(tensors)}
        metadata = split | (metadata_of("llama") if number == 0 else {})
        path = tmp_path / f"split-{number + 1:05d}-of-00002.gguf"
        path.write_bytes(gguf_bytes(metadata, dict(part)))
    joined = gguf_file.read_gguf_checkpoint(tmp_path / "split-00001-of-00002.gguf")
    one = gguf_file.read_gguf_checkpoint(whole)
    assert joined.config == one.config
    leaves = dict(one.leaves)
    assert len(leaves) == len(joined.leaves)
    for name, leaf in joined.leaves:
        np.testing.assert_array_equal(leaf.load(), leaves[name].load())
