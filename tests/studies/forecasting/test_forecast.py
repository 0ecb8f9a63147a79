"""The time left of several studies, from what was counted and what those before took."""

import pytest

from fsl_jax.studies.forecasting.forecast import TimeLeft, seconds_left


def test_before_anything_is_measured_the_assumed_times_are_summed():
    left = TimeLeft([100.0, 300.0])
    assert not left.measured
    assert left.seconds == 400


def test_what_a_study_took_corrects_what_the_others_are_taken_to_need():
    left = TimeLeft([100.0, 300.0, 50.0])
    left.finish_one(200.0)
    assert left.measured
    assert left.seconds == 700
    left.finish_one(200.0)
    assert left.seconds == 50
    left.finish_one(1.0)
    assert left.seconds == 0


@pytest.mark.parametrize("before", [0.0, 1.0], ids=["finished", "all but finished"])
def test_a_study_that_takes_seconds_because_it_was_done_before_tells_no_speed(before):
    left = TimeLeft([before, 1000.0])
    left.finish_one(7.0)
    assert not left.measured
    assert left.seconds == 1000


def test_nothing_is_left_where_all_had_finished():
    left = TimeLeft([0.0, 0.0])
    left.finish_one(3.0)
    assert left.seconds == 0


def test_programs_that_have_their_records_are_not_left(tmp_path):
    seconds = {"00-a-lora": 10.0, "01-a-full": 20.0}
    assert seconds_left(seconds, tmp_path) == 30
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "00-a-lora.jsonl").touch()
    assert seconds_left(seconds, tmp_path) == 20
    (tmp_path / "programs" / "01-a-full.jsonl").touch()
    assert seconds_left(seconds, tmp_path) == 0
