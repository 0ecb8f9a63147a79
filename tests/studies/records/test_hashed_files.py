import pytest

from fsl_jax.errors import InputError
from fsl_jax.files import write_atomically
from fsl_jax.sealed_json import decode_sealed, encode_sealed
from fsl_jax.studies.records.hashed_files import (
    HASHES_FILE,
    HashedFiles,
    decode_states,
    read_hashed,
)
from tests.plugins.fuzzing import read_damaged


def states(directory):
    return decode_sealed((directory / HASHES_FILE).read_bytes(), HASHES_FILE, "")["files"]


def test_files_are_read_as_they_were_written(tmp_path):
    files = HashedFiles(tmp_path)
    files.write({"a.json": b"1", "events/x": b"2"})
    assert read_hashed(tmp_path / "a.json") == b"1"
    assert files.problems() == files.missing() == []
    assert files.names() == ["a.json", "events/x"]
    assert all(len(hashes) == 1 for hashes in states(tmp_path).values())


def test_a_changed_file_is_refused_with_what_to_do(tmp_path):
    files = HashedFiles(tmp_path)
    files.write({"a.json": b"1", "timings.jsonl": b"2"})
    (tmp_path / "a.json").write_bytes(b"0")
    (tmp_path / "timings.jsonl").write_bytes(b"0")
    with pytest.raises(InputError, match=r"a\.json: changed since .* Remove it, and the study's"):
        read_hashed(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"timings\.jsonl: changed .* Put it back from a copy"):
        read_hashed(tmp_path / "timings.jsonl")
    assert [problem.split(":")[0] for problem in files.problems()] == ["a.json", "timings.jsonl"]


def test_files_are_taken_as_they_are(tmp_path):
    (tmp_path / "a.json").write_bytes(b"old")
    files = HashedFiles(tmp_path)
    files.adopt(["a.json", "b.json"])
    assert files.names() == ["a.json"]
    assert files.problems() == files.missing() == []
    (tmp_path / "a.json").write_bytes(b"new")
    assert len(files.problems()) == 1


def test_a_lost_file_is_missing_and_only_timings_are_a_problem(tmp_path):
    files = HashedFiles(tmp_path)
    files.write({"a.json": b"1", "timings.jsonl": b"2"})
    for name in ("a.json", "timings.jsonl"):
        (tmp_path / name).unlink()
    assert files.missing() == ["a.json", "timings.jsonl"]
    assert [problem.split(".")[0] for problem in files.problems()] == ["timings"]
    with pytest.raises(InputError, match=r"timings\.jsonl: lost"):
        files.check("timings.jsonl", None)


def test_a_file_that_is_not_listed_is_read_as_it_is(tmp_path):
    (tmp_path / "a.json").write_bytes(b"1")
    assert read_hashed(tmp_path / "a.json") == b"1"
    HashedFiles(tmp_path).write({"b.json": b"2"})
    assert read_hashed(tmp_path / "a.json") == b"1"


def test_without_the_hashes_files_are_taken_as_they_are(tmp_path):
    HashedFiles(tmp_path).write({"a.json": b"1"})
    (tmp_path / "a.json").write_bytes(b"0")
    (tmp_path / HASHES_FILE).unlink()
    assert read_hashed(tmp_path / "a.json") == b"0"
    assert HashedFiles(tmp_path).problems() == []


def test_the_same_contents_are_not_written_again(tmp_path):
    files = HashedFiles(tmp_path)
    files.write({"a.json": b"1"})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    files.write({"a.json": b"1"})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_kill_between_any_two_writes_leaves_nothing_that_looks_damaged(tmp_path, kill_at):
    written = {"a.json": b"1", "timings.jsonl": b"1"}, {"a.json": b"2", "timings.jsonl": b"12"}
    cases = 0
    for after in (False, True):
        for first in range(2):
            for number in range(1, 10):
                directory = tmp_path / f"{after}{first}{number}"
                files = HashedFiles(directory)
                if first:
                    files.write(written[0])
                if not kill_at(lambda f=files, w=written[first]: f.write(w), number, after):
                    break
                cases += 1
                assert files.problems() == []
                for name in written[0]:
                    if (directory / name).exists():
                        contents = read_hashed(directory / name)
                        assert contents in [part[name] for part in written]
                    else:
                        files.check(name, None)
                # The next process writes other contents yet, and is killed too.
                kill_at(lambda f=files: f.write({"a.json": b"3"}), 2, after)
                assert files.problems() == []
                files.write(written[1])
                assert files.problems() == []
                assert all(len(hashes) == 1 for hashes in states(directory).values())
    assert cases == 16


def test_damage_is_noticed_after_a_kill_and_not_taken_for_the_old_contents(tmp_path, kill_at):
    files = HashedFiles(tmp_path)
    files.write({"a.json": b"1"})
    assert kill_at(lambda: files.write({"a.json": b"2"}), 1, after=True)
    (tmp_path / "a.json").write_bytes(b"0")
    assert len(files.problems()) == 1
    assert kill_at(lambda: files.write({"a.json": b"3"}), 1, after=True)
    assert len(files.problems()) == 1, "a kill before the file was replaced hides its damage"


@pytest.mark.parametrize("name", ["../a", "/dev/zero", "", ".", "a/../../b", "a\0"])
def test_names_that_lead_out_of_the_directory_are_refused(tmp_path, name):
    write_atomically(tmp_path / HASHES_FILE, encode_sealed({"files": {name: ["0" * 64]}}))
    with pytest.raises(InputError, match=r"hashes\.json: expected the hashes of files in this"):
        HashedFiles(tmp_path).problems()


@pytest.mark.parametrize("values", [{}, {"files": []}, {"files": {"a": 1}}, {"files": {"a": [1]}}])
def test_hashes_of_another_form_are_refused(tmp_path, values):
    write_atomically(tmp_path / HASHES_FILE, encode_sealed(values))
    with pytest.raises(InputError, match=r"hashes\.json"):
        HashedFiles(tmp_path).names()


def test_the_hashes_have_no_device_read(tmp_path):
    HashedFiles(tmp_path).write({"a.json": b"1"})
    (tmp_path / "a.json").unlink()
    (tmp_path / "a.json").symlink_to("/dev/zero")
    assert len(HashedFiles(tmp_path).problems()) == 1


def decode(data):
    return decode_states(data, "hashes.json")


SEED = encode_sealed({"files": {"a.json": ["0" * 64], "events/b": [None, "1" * 64]}})


def test_damaged_hashes_are_refused():
    read_damaged(decode, [SEED])


@pytest.mark.soak
def test_many_damaged_hashes_are_refused():
    read_damaged(decode, [SEED], cases=20_000)
