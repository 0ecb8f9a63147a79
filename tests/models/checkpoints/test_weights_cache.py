import errno
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from fsl_jax.models.checkpoints import weights_cache
from fsl_jax.models.checkpoints.weights_cache import arrays_of, cached_weights, weights_sha256
from tests.plugins.fuzzing import CASES, read_damaged


def weights():
    generator = np.random.default_rng(5)
    return {
        "layers/attention/query/kernel": generator.normal(size=(2, 4, 4)).astype(np.float32),
        "layers/attention/query/bias": generator.normal(size=(2, 3)).astype(np.float32),
        "embeddings/word/embedding": generator.normal(size=(8, 4)).astype(np.float16),
        "final_norm/scale": generator.normal(size=64).astype(ml_dtypes.bfloat16),
        "layers/none/kernel": np.zeros((0, 4, 4), np.float32),
        "scale": np.array(0.5, np.float32),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }


class Builder:
    """Builds weights and counts how often."""

    def __init__(self, build=weights):
        self.build = build
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.build()


def assert_same(arrays, expected):
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("FSL_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def warnings(caplog, monkeypatch):
    """Collect the logged warnings."""
    monkeypatch.setattr(logging.getLogger("absl"), "propagate", True)
    with caplog.at_level(logging.WARNING, "absl"):
        yield lambda: [record.getMessage() for record in caplog.records]


def entries(directory):
    return sorted(path.name for path in directory.iterdir())


def test_weights_are_built_once(directory, source, warnings):
    build = Builder()
    first = cached_weights([source], "v-1", build)
    second = cached_weights([source], "v-1", build)
    assert build.count == 1
    assert_same(first.arrays, weights())
    assert_same(second.arrays, weights())
    assert first.sha256 == second.sha256 == weights_sha256([source])
    assert warnings() == []


def test_an_entry_is_a_safetensors_file(directory, source):
    cached_weights([source], "v-1", weights)
    (entry,) = directory.iterdir()
    assert_same(load_file(entry), weights())


def test_arrays_are_mapped_where_jax_takes_them_over(directory, source):
    cached_weights([source], "v-1", weights)
    arrays = cached_weights([source], "v-1", weights).arrays
    aligned = [array for array in arrays.values() if array.nbytes % 64 == 0]
    assert len(aligned) == 4
    assert all(array.ctypes.data % 64 == 0 for array in aligned)
    assert not any(array.flags.writeable for array in arrays.values())


def test_another_version_takes_the_place_of_the_old_one(directory, source):
    build = Builder()
    cached_weights([source], "v-1", build)
    (old,) = entries(directory)
    held = cached_weights([source], "v-1", build).arrays
    cached_weights([source], "v-2", build)
    (new,) = entries(directory)
    assert build.count == 2
    assert "-v-1-" in old
    assert "-v-2-" in new
    assert_same(held, weights())


def test_other_weights_have_an_entry_of_their_own(directory, source, tmp_path):
    cached_weights([source], "v-1", weights)
    other = tmp_path / "other.gguf"
    other.write_bytes(b"others")
    cached_weights([other], "v-1", lambda: {"a": np.zeros(3, np.float32)})
    assert len(entries(directory)) == 2
    assert_same(cached_weights([source], "v-1", weights).arrays, weights())


def test_the_hash_is_the_files_own_or_that_of_names_and_hashes(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).write_bytes(name.encode())
    a, b = tmp_path / "a", tmp_path / "b"
    assert weights_sha256([a]).startswith("ca978112ca1bbdca")
    assert weights_sha256([a, b]) == weights_sha256([b, a])
    assert weights_sha256([a, b]) not in (weights_sha256([a]), weights_sha256([b]))
    before = weights_sha256([a, b])
    b.write_bytes(b"c")
    assert weights_sha256([a, b]) != before


def test_every_damaged_byte_is_noticed_and_mended(directory, source, warnings):
    build = Builder()
    cached_weights([source], "v-1", build)
    (entry,) = directory.iterdir()
    content = entry.read_bytes()
    positions = range(0, len(content), 7)
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        entry.write_bytes(damaged)
        assert_same(cached_weights([source], "v-1", build).arrays, weights())
        assert entry.read_bytes() == content
    assert build.count == 1 + len(positions)
    assert warnings() == [f"cached weights {entry} are damaged and are made again"] * len(positions)


@pytest.mark.parametrize("length", [0, 5, 700])
def test_truncated_entries_are_made_again(directory, source, warnings, length):
    cached_weights([source], "v-1", weights)
    (entry,) = directory.iterdir()
    os.truncate(entry, length)
    build = Builder()
    assert_same(cached_weights([source], "v-1", build).arrays, weights())
    assert build.count == 1
    assert entries(directory) == [entry.name]
    assert len(warnings()) == 1
    assert "made again" in warnings()[0]


def test_a_full_disk_costs_the_cache_and_not_the_weights(directory, source, warnings):
    def big():
        return {"a": np.arange(10**6, dtype=np.float32)}

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, limit[1]))
    try:
        arrays = cached_weights([source], "v-1", big).arrays
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert_same(arrays, big())
    assert entries(directory) == []
    (message,) = warnings()
    assert str(directory) in message
    assert os.strerror(errno.EFBIG) in message
    assert "FSL_JAX_CACHE" in message


def test_a_directory_that_cannot_be_made_costs_the_cache_only(source, warnings, monkeypatch):
    monkeypatch.setenv("FSL_JAX_CACHE", str(source / "below_a_file"))
    assert_same(cached_weights([source], "v-1", weights).arrays, weights())
    assert_same(cached_weights([source], "v-1", weights).arrays, weights())
    (message,) = warnings()
    assert "going on without a cache" in message


WRITER = """
import sys, pathlib, numpy
from fsl_jax.models.checkpoints.weights_cache import cached_weights
cached_weights([pathlib.Path(sys.argv[1])], "v-1", lambda: {"a": numpy.ones(10**8, "f4")})
"""


def test_a_killed_writer_leaves_nothing_that_is_used(directory, source, warnings):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(source)])
    while not list(directory.glob(".*.staging")):
        assert writer.poll() is None
        time.sleep(0.001)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    (abandoned,) = directory.iterdir()
    assert_same(cached_weights([source], "v-1", weights).arrays, weights())
    assert warnings() == []
    # It may still be at work, for all that others know; after an hour it is not.
    assert abandoned.exists()
    os.utime(abandoned, (0, time.time() - 3700))
    cached_weights([source], "v-2", weights)
    assert not abandoned.exists()
    assert len(entries(directory)) == 1


def test_processes_may_race(directory, source, warnings):
    barrier = threading.Barrier(4, timeout=900)

    def build():
        barrier.wait()
        return weights()

    results = [None] * 4

    def load(index):
        results[index] = cached_weights([source], "v-1", build)

    threads = [threading.Thread(target=load, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        assert_same(result.arrays, weights())
    assert len(entries(directory)) == 1
    assert warnings() == []


def test_the_entry_of_a_quicker_process_stays(directory, source):
    inodes = []

    def build():
        cached_weights([source], "v-1", weights)
        inodes.extend(path.stat().st_ino for path in directory.iterdir())
        return weights()

    assert_same(cached_weights([source], "v-1", build).arrays, weights())
    assert [path.stat().st_ino for path in directory.iterdir()] == inodes


@pytest.mark.parametrize("cases", [CASES, pytest.param(20_000, marks=pytest.mark.soak)])
def test_damaged_entries_are_refused_or_hold_other_numbers(directory, source, cases):
    arrays = {"a": np.ones((2, 3), np.float32), "b": np.zeros(0, np.float16)}
    cached_weights([source], "v1", lambda: arrays)
    (entry,) = directory.glob("*.safetensors")
    read_damaged(lambda data: arrays_of(np.frombuffer(data, np.uint8)), [entry.read_bytes()], cases)


def test_a_malformed_entry_with_the_right_digest_is_made_again(directory, source, warnings):
    weights = cached_weights([source], "v1", lambda: {"a": np.ones(3, np.float32)})
    (entry,) = directory.glob("*.safetensors")
    malformed = b"\xff" * 64
    prefix = entry.name.rpartition("-")[0]
    entry.unlink()
    digest = weights_cache._digest(np.frombuffer(malformed, np.uint8))
    (directory / f"{prefix}-{digest}.safetensors").write_bytes(malformed)
    again = cached_weights([source], "v1", lambda: {"a": np.ones(3, np.float32)})
    np.testing.assert_array_equal(again.arrays["a"], weights.arrays["a"])
    assert "damaged and are made again" in warnings()[-1]
