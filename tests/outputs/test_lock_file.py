"""The file of a lock can be made by one process only, on disks and in object stores."""

import concurrent.futures
import errno
import os
import sys
import threading
import time

import pytest
from etils.epath import backend
from fsspec.implementations.memory import MemoryFileSystem

from fsl_jax.outputs import lock_file as lock_files
from fsl_jax.outputs.lock_file import LocalLockFile, StoredLockFile, lock_file
from fsl_jax.outputs.owner import this_process


class Bucket(MemoryFileSystem):
    """A store in memory for paths of `gs://`."""

    protocol = ("gcs", "gs")

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.removeprefix("gs://").removeprefix("gcs://").strip("/")


@pytest.fixture
def bucket(monkeypatch):
    """Lets `gs://` be a store in memory, which is empty."""
    monkeypatch.setattr(Bucket, "store", {})
    monkeypatch.setattr(Bucket, "pseudo_dirs", [""])
    for name in Bucket.protocol:
        monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, name, Bucket)
    backend.fsspec_backend._get_filesystem.cache_clear()
    yield
    backend.fsspec_backend._get_filesystem.cache_clear()


@pytest.fixture(params=["local", "store"])
def lock(request, tmp_path):
    if request.param == "local":
        return lock_file(tmp_path / "lock.json")
    request.getfixturevalue("bucket")
    return lock_file("gs://bucket/out/lock.json")


def test_a_lock_is_made_once_and_can_be_made_again_after_it_was_removed(lock):
    first, second = this_process(), this_process()
    assert not lock.exists()
    assert lock.read() is None
    with lock.guard():
        assert lock.create(first)
        assert not lock.create(second)
    assert lock.exists()
    assert lock.read().token == first.token
    lock.remove()
    lock.remove()
    assert lock.create(second)
    assert lock.read().token == second.token


def test_the_kind_of_lock_follows_the_path(lock):
    kind = LocalLockFile if lock_files.is_local(lock.path) else StoredLockFile
    assert type(lock) is kind


def test_a_renewed_lock_is_young(lock, monkeypatch):
    owner = this_process()
    lock.create(owner)
    assert abs(lock.age()) < 5
    if isinstance(lock, LocalLockFile):
        os.utime(lock.path, (0, time.time() - 1000))
    else:
        with monkeypatch.context() as patched:
            patched.setattr(lock_files.time, "time", lambda: owner.renewed - 1000)
            lock.renew(owner)
    assert 990 < lock.age() < 1010
    lock.renew(owner)
    assert abs(lock.age()) < 5
    assert lock.read().token == owner.token


def test_one_of_many_threads_makes_a_local_lock(tmp_path):
    lock, barrier = lock_file(tmp_path / "lock.json"), threading.Barrier(8)

    def create(_):
        barrier.wait()
        return lock.create(this_process())

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["lock.json"]


def test_without_hard_links_a_lock_is_still_made_once(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(lock_files.os, "link", refuse)
    lock = lock_file(tmp_path / "lock.json")
    first = this_process()
    assert lock.create(first)
    assert not lock.create(this_process())
    assert lock.read() == first


def test_a_link_whose_answer_was_lost_counts(tmp_path, monkeypatch):
    link = os.link

    def lose(*paths):
        link(*paths)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(lock_files.os, "link", lose)
    assert lock_file(tmp_path / "lock.json").create(this_process())


def test_a_store_that_was_written_at_the_same_time_refuses(bucket, monkeypatch):
    lock = lock_file("gs://bucket/out/lock.json")
    lock.create(this_process())
    monkeypatch.setattr(StoredLockFile, "exists", lambda self: False)
    assert not lock.create(this_process())
