import json

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.records.hashed_files import HashedFiles
from fsl_jax.studies.records.timings import Timing
from fsl_jax.studies.reporting.summary import encode_summary, parse_summary, read_summary, summarise
from tests.plugins.fuzzing import read_damaged


def test_rows_are_sorted_by_mean_and_failures_come_last(study):
    rows = summarise(study, [])
    assert [row.method for row in rows] == ["lora(rank=8)", "bitfit", "zero_shot", "full"]
    assert [row.failed for row in rows] == [False, False, False, True]


def test_a_row_has_the_statistics_of_the_selected_runs(study):
    row = summarise(study, [])[0]
    assert row.runs == [0.90, 0.91, 0.89]
    assert row.mean == pytest.approx(0.90)
    assert row.std == pytest.approx(0.01)
    assert row.ci95[0] < 0.89 < 0.91 < row.ci95[1]
    assert row.values == {13: 0.90, 21: 0.91, 42: 0.89}


def test_failed_runs_are_counted_and_kept_out_of_the_selection(study):
    best, *_, failed = summarise(study, [])
    assert (best.selected["tried"], best.selected["nan"]) == (6, 3)
    assert best.selected["learning_rate"] == [0.001] * 3
    assert (failed.mean, failed.std, failed.ci95) == (None, None, None)
    assert failed.runs == [None, None, None]
    assert failed.selected["adapter"] == [None, None, None]


def test_a_seed_on_which_all_failed_leaves_a_gap(make_record):
    records = [
        make_record(seed=1, test=0.5),
        make_record("failed", seed=2),
        make_record(seed=3, test=0.7),
    ]
    (row,) = summarise(records, [])
    assert row.runs == [0.5, None, 0.7]
    assert row.selected["seeds"] == [1, 2, 3]
    assert row.values == {1: 0.5, 3: 0.7}
    assert row.mean == pytest.approx(0.6)


def test_runs_are_in_the_order_of_seeds_whatever_the_order_of_lines(study):
    assert summarise(study[::-1], []) == summarise(study, [])


def test_seconds_come_from_the_timings_of_the_row(study):
    timings = [
        Timing("0", "bitfit", "other", 1.0, 2.0, 3.0),
        Timing("0", "bitfit", "other", 0.5, 1.0, 0.0),
    ]
    seconds = {row.method: row.seconds for row in summarise(study, timings)}
    assert seconds["bitfit"] == {"compile": 1.5, "train": 3.0, "evaluate": 3.0}
    assert sum(seconds["zero_shot"].values()) == 0


def test_every_faulty_selection_is_told(make_record):
    records = [
        make_record(seed=1, learning_rate=0.1),
        make_record(seed=1, learning_rate=0.2),
        make_record("unselected", method="bitfit", seed=2),
        make_record("failed", method="bitfit", seed=2),
    ]
    with pytest.raises(InputError) as caught:
        summarise(records, [])
    assert "lora with tiny, seed 1: 2 runs are selected" in str(caught.value)
    assert "bitfit with tiny, seed 2: 0 runs are selected" in str(caught.value)


def test_the_file_has_the_promised_shape(study):
    summary = json.loads(encode_summary(summarise(study, []), {"threads": 2}))
    assert list(summary) == ["rows", "environment"] or sorted(summary) == ["environment", "rows"]
    keys = "method model dataset shots metric mean std ci95 runs trainable_parameters "
    keys += "total_parameters seconds selected"
    assert all(set(row) == set(keys.split()) for row in summary["rows"])
    first = summary["rows"][0]
    assert len(first["ci95"]) == 2
    assert set(first["seconds"]) == {"compile", "train", "evaluate"}
    assert summary["rows"][-1]["ci95"] is None
    assert summary["environment"] == {"threads": 2}


def test_a_summary_is_read_back_as_it_was_written(study, tmp_path):
    rows = summarise(study, [])
    HashedFiles(tmp_path).write({"summary.json": encode_summary(rows, {})})
    assert read_summary(tmp_path / "summary.json") == rows
    changed = (tmp_path / "summary.json").read_bytes().replace(b"0.91", b"0.95")
    (tmp_path / "summary.json").write_bytes(changed)
    with pytest.raises(InputError, match=r"summary\.json: changed since .* Remove it"):
        read_summary(tmp_path / "summary.json")


@pytest.mark.parametrize("text", [None, "[]", '{"rows": [{"method": "lora"}]}', "{", '{"rows": 1}'])
def test_a_file_that_is_no_summary_is_an_error(tmp_path, text):
    path = tmp_path / "summary.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"summary\.json"):
        read_summary(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ci95", [0.1], r"row 0: ci95: expected \[low, high\]"),
        ("ci95", [0.1, "x"], "row 0: high: expected a number"),
        ("runs", [0.5], "row 0: selected: expected lists of 1 values"),
        ("selected", {"seeds": []}, "row 0: learning_rate: missing"),
        ("mean", "high", "row 0: mean: expected a number"),
    ],
)
def test_fields_of_another_kind_are_named(study, name, value, message):
    values = json.loads(encode_summary(summarise(study, []), {}))
    values["rows"][0][name] = value
    with pytest.raises(InputError, match=message):
        parse_summary(json.dumps(values).encode(), "summary.json")


def small_summary(make_record):
    return encode_summary(summarise([make_record()], []), {"threads": 2})


def test_damaged_files_are_refused(make_record):
    read_damaged(lambda data: parse_summary(data, "a"), [small_summary(make_record)])


@pytest.mark.soak
def test_many_damaged_files_are_refused(make_record):
    read_damaged(lambda data: parse_summary(data, "a"), [small_summary(make_record)], cases=20_000)
