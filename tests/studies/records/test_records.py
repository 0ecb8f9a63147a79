import dataclasses
import json

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.records.jsonl import encode_records, parse_records, write_records
from fsl_jax.studies.records.records import CurvePoint, RowKey, RunRecord, read_results
from tests.plugins.fuzzing import read_damaged


def test_results_read_back_equal(tmp_path, study):
    write_records(tmp_path / "results.jsonl", study)
    assert list(read_results(tmp_path / "results.jsonl")) == study


def test_a_line_has_what_a_reader_asks_for_and_no_timing(make_record):
    line = json.loads(make_record().line())

    asked = {"method", "model", "seed", "learning_rate", "steps", "validation", "test", "versions"}
    assert asked <= set(line)
    assert not {"seconds", "time", "compile", "train"} & set(line)
    assert line["curve"] == [[0, 0.25, None], [10, 0.5, 1.5], [20, 0.75, 0.5]]
    assert list(line) == [field.name for field in dataclasses.fields(RunRecord)]


def test_runs_of_a_row_share_all_but_split_and_hyperparameters(make_record):
    rows = {
        make_record(seed=seed, learning_rate=rate).row for seed in (1, 2) for rate in (0.1, 0.2)
    }
    assert rows == {RowKey("lora", "tiny", "fruits", 4, "accuracy")}


def test_a_curve_is_made_of_points(make_record):
    assert make_record().curve[1] == CurvePoint(step=10, metric=0.5, loss=1.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "done"}, "status: expected one of finished, stopped_early, nan, found 'done'"),
        ({"status": "nan"}, "a run whose loss is not a number cannot be selected"),
        ({"test": None}, "test: a selected run has a test value"),
        ({"selected": False}, "test: a selected run has a test value, and no other run has one"),
        ({"test": 70.0}, "test: expected a number between -1 and 1, found 70.0"),
        ({"validation": -1.1}, "validation: expected a number between -1 and 1, found -1.1"),
    ],
)
def test_contradictions_are_refused(make_record, changes, message):
    with pytest.raises(InputError) as caught:
        make_record(**changes)
    assert message in str(caught.value)


def test_contradictions_in_a_file_are_told_by_line(tmp_path, make_record):
    line = make_record().line()
    (tmp_path / "results.jsonl").write_text(f"{line}\n{line.replace('finished', 'done')}\n")
    with pytest.raises(InputError, match="line 2: status: expected one of"):
        read_results(tmp_path / "results.jsonl")


def test_the_files_of_the_base_model_are_in_the_record_and_absent_in_older_ones(make_record):
    files = {"config.json": "0" * 64}
    record = make_record(model_files=files)
    assert parse_records(record.line().encode(), "a", RunRecord)[0].model_files == files
    older = make_record().line().replace(', "model_files": {}', "")
    assert parse_records(older.encode(), "a", RunRecord) == (make_record(),)


def test_damaged_files_are_refused(make_record):
    seed = encode_records([make_record(), make_record("failed")])
    read_damaged(lambda data: parse_records(data, "a", RunRecord), [seed])


@pytest.mark.soak
def test_many_damaged_files_are_refused(make_record):
    seed = encode_records([make_record(), make_record("failed")])
    read_damaged(lambda data: parse_records(data, "a", RunRecord), [seed], cases=20_000)
