import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.records.jsonl import encode_records, parse_records
from fsl_jax.studies.records.timings import Timing, append_timings, read_timings, seconds_of
from tests.plugins.fuzzing import read_damaged


def timing(program="0", method="lora", model="tiny", compile=1.0, train=2.0, evaluate=3.0):
    return Timing(program, method, model, compile, train, evaluate)


def test_invocations_append(tmp_path):
    path = tmp_path / "timings.jsonl"
    assert read_timings(path) == ()

    append_timings(path, [timing()])
    append_timings(path, [timing(program="1"), timing(program="2")])

    assert [line.program for line in read_timings(path)] == ["0", "1", "2"]


def test_seconds_add_up_over_programs_and_invocations_of_one_row():
    timings = [
        timing(),
        timing(train=5.0),
        timing(program="1"),
        timing(model="other"),
        timing(method="full"),
    ]
    assert seconds_of(timings, "lora", "tiny") == {"compile": 3.0, "train": 9.0, "evaluate": 9.0}
    assert seconds_of(timings, "icl", "tiny") == {"compile": 0.0, "train": 0.0, "evaluate": 0.0}


def test_negative_seconds_are_refused():
    with pytest.raises(InputError, match=r"train: -2\.0 seconds is negative"):
        timing(train=-2.0)


def test_a_changed_or_lost_file_is_an_error(tmp_path):
    path = tmp_path / "timings.jsonl"
    append_timings(path, [timing(train=2.0)])
    path.write_text(path.read_text().replace("2.0", "3.0"))
    for use in (read_timings, lambda path: append_timings(path, [timing()])):
        with pytest.raises(InputError, match=r"timings\.jsonl: changed since"):
            use(path)
    path.unlink()
    with pytest.raises(InputError, match=r"timings\.jsonl: lost"):
        read_timings(path)


SEED = encode_records([timing(), timing(program="1", train=0.5)])


def decode(data):
    return parse_records(data, "timings.jsonl", Timing)


def test_damaged_files_are_refused():
    read_damaged(decode, [SEED])


@pytest.mark.soak
def test_many_damaged_files_are_refused():
    read_damaged(decode, [SEED], cases=20_000)


def test_a_damaged_file_is_not_written_over(tmp_path):
    path = tmp_path / "timings.jsonl"
    path.write_text('{"program": "0", "met')
    with pytest.raises(InputError, match="line 1"):
        append_timings(path, [timing()])
    assert path.read_text() == '{"program": "0", "met'
