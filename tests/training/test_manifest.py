"""Every change of a directory is noticed and named."""

import json

import pytest

from fsl_jax.training import manifest
from tests.plugins.fuzzing import CASES, read_damaged


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.txt").write_bytes(b"abc")
    (tmp_path / "inner" / "empty").write_bytes(b"")
    (tmp_path / "inner" / "ü").write_bytes(bytes(range(20)))
    manifest.write(tmp_path)
    return tmp_path


def test_untouched_directory_has_no_problems(directory):
    assert manifest.verify(directory) == []


def test_manifest_is_json_with_sorted_paths_sizes_and_hashes(directory):
    content = json.loads((directory / "manifest.json").read_text())
    assert [(entry["path"], entry["size"]) for entry in content["files"]] == [
        ("a.txt", 3),
        ("inner/empty", 0),
        ("inner/ü", 20),
    ]
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content["files"][0]["sha256"] == known


@pytest.mark.parametrize("name", ["a.txt", "inner/ü", "manifest.json"])
def test_every_byte_counts(directory, name):
    path = directory / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        # The lowest bit turns 5 into 4; the sixth turns A into a, and a blank into NUL.
        for bit in (0, 5):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            [fault] = manifest.verify(directory)
            assert fault.startswith(f"{name}: ")
    path.write_bytes(whole)
    assert manifest.verify(directory) == []


def test_any_truncation_of_the_manifest_is_noticed(directory):
    path = directory / "manifest.json"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert manifest.verify(directory) == ["manifest.json: not as it was written"]


def test_another_list_with_its_own_hash_needs_the_files(directory):
    other = directory / "inner"
    manifest.write(other)
    (other / "manifest.json").rename(directory / "manifest.json")
    assert manifest.verify(directory) == [
        "empty: missing",
        "ü: missing",
        "a.txt: not in manifest.json",
        "inner/empty: not in manifest.json",
        "inner/ü: not in manifest.json",
    ]


def test_missing_added_truncated_and_renamed_files_are_all_named(directory):
    (directory / "a.txt").write_bytes(b"ab")
    (directory / "inner" / "empty").unlink()
    (directory / "added").write_bytes(b"")
    assert manifest.verify(directory) == [
        "inner/empty: missing",
        "added: not in manifest.json",
        "a.txt: 2 bytes, expected 3",
    ]


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"files": [1]}', b'{"files": null}', b"\xff"])
def test_manifest_of_another_form_is_a_fault(directory, content):
    (directory / "manifest.json").write_bytes(content)
    assert manifest.verify(directory) == ["manifest.json: not as it was written"]


def test_without_a_manifest_the_writing_was_not_finished(directory):
    (directory / "manifest.json").unlink()
    assert manifest.verify(directory) == [
        "manifest.json: missing, so the writing was never finished"
    ]


@pytest.mark.parametrize("entry", [{}, {"path": 1, "size": 3, "sha256": "ab"}, {"path": "a"}])
def test_entries_of_another_form_are_noticed(directory, entry):
    (directory / "manifest.json").write_bytes(manifest._encode([entry]))
    assert manifest.verify(directory) == ["manifest.json: not as it was written"]


@pytest.mark.parametrize("cases", [CASES, pytest.param(20_000, marks=pytest.mark.soak)])
def test_damaged_manifests_are_refused(directory, cases):
    read_damaged(manifest.parse, [(directory / "manifest.json").read_bytes()], cases)
