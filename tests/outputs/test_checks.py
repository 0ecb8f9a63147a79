"""An output that cannot be written is refused in one line, and nothing is left behind."""

import errno
import os

import pytest

from fsl_jax.errors import InputError
from fsl_jax.outputs.checks import (
    explaining,
    make_directory,
    remove_empty,
    require_named,
    require_parts,
    require_plain_file,
    require_usable,
)


@pytest.mark.parametrize("value", ["", " ", "\t \n"])
def test_an_empty_output_is_refused(value):
    with pytest.raises(InputError, match="--output is empty"):
        require_named("--output", value)
    with pytest.raises(InputError, match="is empty"):
        require_usable(value)
    require_named("--output", None)
    require_named("--output", " a")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("hdfs://a/b", "unknown kind of path 'hdfs://'"),
        ("gs:///".replace("gs", "gss"), "Did you mean 'gs://'"),
        ("a\0b", "null character"),
        ("x/" * 2000, "at most 4,095 are possible"),
        ("x/" * 1900, "at most 4,095 are possible"),
    ],
)
def test_a_path_that_nothing_can_be_written_to_is_refused(path, message):
    with pytest.raises(InputError, match=message) as refused:
        require_usable(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("path", ["a", "/a/b", "gs://a/b", "a:/b", "x" * 250, "~"])
def test_other_paths_are_usable(path):
    require_usable(path)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "out: nothing .* Permission denied"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (FileExistsError(errno.EEXIST, "File exists"), "it is a file"),
        (NotADirectoryError(errno.ENOTDIR, "x"), "a part of its path is a file"),
    ],
)
def test_errors_of_the_file_system_name_the_output(error, message):
    with pytest.raises(InputError, match=message), explaining("out"):
        raise error


def test_errors_of_an_object_store_name_the_output_and_the_package():
    with pytest.raises(InputError, match="pip install gcsfs"), explaining("gs://a/b"):
        raise ImportError("Please install gcsfs")
    message = "gs://a/b: nothing can be written there: RuntimeError: no credentials"
    with pytest.raises(InputError, match=message), explaining("gs://a/b"):
        raise RuntimeError("no credentials")
    with pytest.raises(RuntimeError), explaining("a"):
        raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("directory", "expected a file, found a directory"),
        ("new/", "expected a file, found a directory"),
        ("pipe", "not a plain file"),
        ("/dev/null", "not a plain file"),
        ("/dev/not_there", "not a plain file"),
    ],
)
def test_what_is_no_plain_file_is_not_replaced(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=f"^{name}: {message}"):
        require_plain_file(name)


@pytest.mark.parametrize("name", ["file", "new", "there/is/none", "gs://bucket/file"])
def test_a_plain_file_may_be_replaced_or_new(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    require_plain_file(name)


def test_directories_that_were_made_and_stay_empty_are_removed(tmp_path):
    created = make_directory(tmp_path / "a" / "b" / "c")
    assert created == [tmp_path / "a" / "b" / "c", tmp_path / "a" / "b", tmp_path / "a"]
    (tmp_path / "a" / "kept.txt").write_text("")
    remove_empty(created)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept.txt"]
    assert make_directory(tmp_path / "a") == []


def test_parts_of_another_kind_are_refused(tmp_path):
    require_parts(tmp_path / "new", ("adapters",), ("plan.json",))
    (tmp_path / "adapters").write_text("")
    with pytest.raises(InputError, match=r"adapters: expected a directory, found a file"):
        require_parts(tmp_path, ("adapters",), ())
    (tmp_path / "plan.json").mkdir()
    with pytest.raises(InputError, match=r"plan\.json: expected a file, found a directory"):
        require_parts(tmp_path, (), ("plan.json",))
