"""A file or directory has its new content or its old one, and nothing between."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from etils import epath

from fsl_jax import files
from fsl_jax.errors import InputError
from fsl_jax.files import local_path


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("name", ["x" * 300, "~nobody-has-this-name/model"])
def test_a_path_that_cannot_be_looked_up_is_an_error(name):
    with pytest.raises(InputError, match="this path cannot be looked up"):
        local_path(name)


def test_a_local_path_need_not_exist(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert local_path("~/models") == Path("/home/me/models")
    assert local_path("a\0b") == Path("a\0b")


def test_write_atomically_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "above" / "a.txt"
    files.write_atomically(path, "früher")
    files.write_atomically(path, b"later")
    assert contents(path.parent) == {"a.txt": b"later"}


def test_a_device_or_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="not a plain file"):
        files.write_atomically(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_text_is_utf8(tmp_path):
    files.write_atomically(tmp_path / "a.txt", "ü")
    assert (tmp_path / "a.txt").read_bytes() == "ü".encode()


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_failed_write_keeps_what_was_there(tmp_path, monkeypatch, function):
    files.write_atomically(tmp_path / "a.txt", "old")

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(tmp_path / "a.txt", "new")
    assert contents(tmp_path) == {"a.txt": b"old"}


def test_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    files.write_atomically(tmp_path / "a.txt", "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            files.write_atomically(tmp_path / "a.txt", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(tmp_path) == {"a.txt": b"old"}


def test_file_is_synced_before_it_takes_its_name_and_the_name_after(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, name=name, real=real: (calls.append(name), real(*a))
        )
    files.write_atomically(tmp_path / "a.txt", "new")
    assert calls == ["fsync", "replace", "fsync"]


def test_remote_file_is_written_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "is_local", lambda path: False)
    monkeypatch.setattr(os, "replace", None)
    files.write_atomically(tmp_path / "a.txt", "new")
    assert contents(tmp_path) == {"a.txt": b"new"}


@pytest.mark.parametrize(
    ("path", "local"),
    [("/a/b", True), ("a", True), ("gs://bucket/a", False), (epath.Path("gs://bucket/a"), False)],
)
def test_is_local(path, local):
    assert files.is_local(path) == local


def test_write_json_keeps_order_and_reads_back(tmp_path):
    value = {"b": [1, 2.5, None], "a": "ü"}
    files.write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == value
    assert text.index('"b"') < text.index('"a"')
    assert "ü" in text
    assert text.endswith("}\n")


def test_write_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert contents(tmp_path) == {}


def test_sha256_of_known_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(tmp_path / "a") == known
    assert files.size_and_sha256(tmp_path / "a") == (3, known)


def test_sha256_of_more_than_one_chunk(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 5)
    whole = files.sha256(tmp_path / "a")
    monkeypatch.setattr(files, "_CHUNK", 7)
    assert files.sha256(tmp_path / "a") == whole


def test_staged_directory_appears_at_the_end(tmp_path):
    path = tmp_path / "above" / "made"
    with files.staged_directory(path) as staging:
        (staging / "a").write_text("1")
        assert not path.exists()
    assert contents(path) == {"a": b"1"}
    assert [entry.name for entry in path.parent.iterdir()] == ["made"]


def test_staged_directory_replaces_the_whole_directory(tmp_path):
    for name in ("old", "new"):
        with files.staged_directory(tmp_path / "made") as staging:
            (staging / name).write_text(name)
    assert contents(tmp_path / "made") == {"new": b"new"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["made"]


def test_failure_keeps_the_directory_that_was_there(tmp_path):
    with files.staged_directory(tmp_path / "made") as staging:
        (staging / "old").write_text("old")
    staged = files.staged_directory(tmp_path / "made")
    (staged.__enter__() / "new").write_text("new")
    staged.__exit__(KeyError, KeyError(), None)
    assert contents(tmp_path / "made") == {"old": b"old"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["made"]


def test_directory_that_stepped_aside_returns_when_the_rename_fails(tmp_path, monkeypatch):
    with files.staged_directory(tmp_path / "made") as staging:
        (staging / "old").write_text("old")
    rename = os.rename

    def fail(source, target):
        if files.STAGING in os.fspath(source):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="No space left"), files.staged_directory(tmp_path / "made"):
        pass
    assert contents(tmp_path / "made") == {"old": b"old"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["made"]


def test_everything_is_synced_before_the_rename(tmp_path, monkeypatch):
    events = []
    sync, rename = files._sync, os.rename
    monkeypatch.setattr(files, "_sync", lambda path: (events.append(path), sync(path)))
    monkeypatch.setattr(os, "rename", lambda *names: (events.append("rename"), rename(*names)))
    with files.staged_directory(tmp_path / "made") as staging:
        (staging / "inner").mkdir()
        (staging / "inner" / "a").write_text("1")
    synced = {os.path.relpath(path, staging) for path in events[: events.index("rename")]}
    assert synced == {".", "inner", "inner/a"}
    assert events[events.index("rename") + 1 :] == [epath.Path(tmp_path)]


def test_staging_starts_empty_after_a_kill_and_has_a_name_that_others_can_tell(tmp_path):
    left = files.staging_directory(tmp_path / "made")
    left.mkdir()
    (left / "half").write_text("half")
    with files.staged_directory(tmp_path / "made") as staging:
        assert staging == left
        (staging / "a").write_text("1")
    assert contents(tmp_path / "made") == {"a": b"1"}


def test_remote_directory_is_written_in_place_and_removed_on_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "is_local", lambda path: False)
    monkeypatch.setattr(os, "rename", None)
    assert files.staging_directory(tmp_path / "made") == tmp_path / "made"
    with files.staged_directory(tmp_path / "made") as staging:
        (staging / "a").write_text("1")
    assert contents(tmp_path / "made") == {"a": b"1"}
    with pytest.raises(KeyError), files.staged_directory(tmp_path / "made"):
        raise KeyError
    assert not (tmp_path / "made").exists()


def test_recover_removes_leftovers_and_puts_back_what_stepped_aside(tmp_path):
    (tmp_path / ".staging-a.txt-1").write_text("half")
    (tmp_path / ".staging-made-2" / "inner").mkdir(parents=True)
    (tmp_path / ".replaced-lost").mkdir()
    (tmp_path / ".replaced-made").mkdir()
    (tmp_path / "made").mkdir()
    (tmp_path / "kept.txt").write_text("kept")
    assert files.has_leftovers(tmp_path)
    files.recover(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept.txt", "lost", "made"]
    assert not files.has_leftovers(tmp_path)


def test_recover_of_a_missing_directory_does_nothing(tmp_path):
    files.recover(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()


def test_remove_directory(tmp_path, monkeypatch):
    (tmp_path / "made" / "inner").mkdir(parents=True)
    files.remove_directory(tmp_path / "made")
    files.remove_directory(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def test_directory_whose_removal_is_cut_short_has_lost_its_name(tmp_path, monkeypatch):
    (tmp_path / "made").mkdir()
    monkeypatch.setattr("shutil.rmtree", lambda path: None)
    files.remove_directory(tmp_path / "made")
    assert [entry.name.startswith(files.STAGING) for entry in tmp_path.iterdir()] == [True]


def test_cache_directory_follows_the_environment(monkeypatch):
    monkeypatch.setenv("FSL_JAX_CACHE", "/somewhere")
    assert files.cache_directory() == epath.Path("/somewhere")
    monkeypatch.delenv("FSL_JAX_CACHE")
    assert files.cache_directory() == epath.Path("~/.cache/fsl_jax").expanduser()


def test_a_cache_that_can_be_written_is_made(monkeypatch, tmp_path):
    monkeypatch.setenv("FSL_JAX_CACHE", str(tmp_path / "new"))
    assert files.usable_cache_directory() == tmp_path / "new"
    assert files.usable_cache_directory("compiled") == tmp_path / "new" / "compiled"
    assert not any((tmp_path / "new" / "compiled").iterdir())


@pytest.mark.parametrize("cache", ["file", "file/below", "no\0path"])
def test_a_cache_that_cannot_be_written_is_no_cache_and_one_warning(monkeypatch, tmp_path, cache):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(files, "_cache_path", lambda: str(tmp_path / cache))
    warnings = []
    monkeypatch.setattr(files.logging, "warning", lambda *parts: warnings.append(parts))
    for folder in ("", "compiled", ""):
        assert files.usable_cache_directory(folder) is None
    assert len(warnings) == 1


def test_a_cache_without_the_package_for_it_is_no_cache(monkeypatch):
    monkeypatch.setenv("FSL_JAX_CACHE", "gs://no-package-for-this/cache")
    assert files.usable_cache_directory() is None


_KILLED_AT = """
import os, signal, sys
from fsl_jax import files
function, path = sys.argv[1:]
setattr(os, function, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
files.write_atomically(path, "new")
"""


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_kill_inside_a_write_leaves_the_old_file(tmp_path, function):
    files.write_atomically(tmp_path / "a.txt", "old")
    command = [sys.executable, "-c", _KILLED_AT, function, os.fspath(tmp_path / "a.txt")]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "old"
    files.recover(tmp_path)
    assert contents(tmp_path) == {"a.txt": b"old"}


def test_a_file_from_outside_is_read_up_to_a_size(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abcd")
    assert files.read_bounded(path, 4) == b"abcd"
    with pytest.raises(InputError, match="it has 4 bytes, and at most 3 are read"):
        files.read_bounded(path, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "there is no such file"),
        ("a" * 300, "there is no such file"),
        (".", "not a plain file"),
        ("zero", "not a plain file"),
    ],
)
def test_only_plain_files_are_read(tmp_path, name, message):
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(InputError, match=message):
        files.read_bounded(tmp_path / name, 10)


@pytest.mark.parametrize(
    ("target", "inside"),
    [
        ("file", True),
        ("link", False),
        ("../file", False),
        ("../link-inside", True),
        ("../models--some--one/blobs/ab12", True),
        ("../other/blobs/ab12", False),
        ("/dev/zero", False),
    ],
)
def test_a_link_stays_in_its_directory_or_leads_into_the_cache_of_the_hub(tmp_path, target, inside):
    """A link to itself leads nowhere."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "link-inside").symlink_to("directory/file")
    (tmp_path / "directory/link").symlink_to(target)
    assert files.stays_inside(tmp_path / "directory/link") is inside


@pytest.mark.parametrize("name", ["a" * 300, "\ud83d", "\0"])
def test_a_name_that_no_file_can_have_is_in_no_directory(tmp_path, name):
    assert not files.stays_inside(tmp_path / name)
    assert files.stays_inside(tmp_path / "missing")
