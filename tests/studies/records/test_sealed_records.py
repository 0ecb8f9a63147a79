import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.records.sealed_records import (
    decode_sealed_records,
    read_sealed_records,
    write_sealed_records,
)
from tests.plugins.fuzzing import read_damaged


@pytest.fixture
def path(make_record, tmp_path):
    write_sealed_records(tmp_path / "a.jsonl", [make_record(seed=1), make_record(seed=2)])
    return tmp_path / "a.jsonl"


def decode(data):
    return decode_sealed_records(data, "a.jsonl", RunRecord, "Run it again.")


def test_records_are_read_back(path, make_record):
    records = read_sealed_records(path, RunRecord, "")
    assert records == (make_record(seed=1), make_record(seed=2))
    assert len(path.read_bytes().splitlines()) == 3


def test_a_program_without_runs_is_sealed_too(tmp_path):
    write_sealed_records(tmp_path / "a.jsonl", [])
    assert read_sealed_records(tmp_path / "a.jsonl", RunRecord, "") == ()


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: [],
        lambda lines: lines[:-1],
        lambda lines: lines[1:],
        lambda lines: [*lines[:1], *lines[2:]],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [*lines, b"\n"],
        lambda lines: [*lines, lines[2]],
    ],
    ids=["emptied", "no seal", "no first", "no second", "swapped", "blank line", "two seals"],
)
def test_lines_that_are_lost_moved_or_added_are_noticed(path, damage):
    lines = path.read_bytes().splitlines(keepends=True)
    with pytest.raises(InputError, match=r"^a\.jsonl: damaged; .* Run it again\.$"):
        decode(b"".join(damage(lines)))


def test_damaged_files_are_refused(path):
    read_damaged(decode, [path.read_bytes()])


@pytest.mark.soak
def test_many_damaged_files_are_refused(path):
    read_damaged(decode, [path.read_bytes()], cases=20_000)
