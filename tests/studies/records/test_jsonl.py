import dataclasses
import json
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsl_jax.errors import InputError
from fsl_jax.studies.records.jsonl import (
    Record,
    canonical_json,
    parse_records,
    read_records,
    write_records,
)


class Point(NamedTuple):
    step: int
    value: float | None


@dataclasses.dataclass(frozen=True)
class Sample(Record):
    name: str
    count: int
    rate: float
    limit: float | None
    right: bool
    settings: dict[str, Any]
    words: tuple[str, ...]
    points: tuple[Point, ...]


GOOD = {
    "name": "a",
    "count": 1,
    "rate": 0.1,
    "limit": None,
    "right": True,
    "settings": {"b": 1, "a": [1, 2]},
    "words": ["x"],
    "points": [[1, 0.5], [2, None]],
}
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_fields_are_brought_into_one_form():
    numpy = {
        **GOOD,
        "count": np.int64(1),
        "rate": np.float64(0.1),
        "settings": {"a": (1, 2), "b": np.int32(1)},
    }

    record = Sample(**numpy)

    assert record == Sample(**GOOD)
    assert record.line() == Sample(**GOOD).line()
    assert record.points == (Point(1, 0.5), Point(2, None))
    assert [type(x) for x in (record.count, record.rate)] == [int, float]


def test_a_whole_number_in_place_of_a_float_gives_the_same_line():
    assert Sample(**{**GOOD, "rate": 1}).line() == Sample(**{**GOOD, "rate": 1.0}).line()


def test_a_line_has_fields_in_their_order_and_inner_keys_sorted():
    line = Sample(**GOOD).line()

    assert list(json.loads(line)) == list(GOOD)
    assert '"settings": {"a": [1, 2], "b": 1}' in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", 3, "name: expected a text, found 3"),
        ("count", 1.5, "count: expected a whole number, found 1.5"),
        ("count", True, "count: expected a whole number, found True"),
        ("rate", "fast", "rate: expected a number, found 'fast'"),
        (
            "rate",
            float("nan"),
            "rate: expected a finite number (null where there is none), found nan",
        ),
        ("limit", float("inf"), "limit: expected a finite number"),
        ("right", 1, "right: expected true or false, found 1"),
        ("settings", {"a": object}, "settings: expected a number, found"),
        ("settings", {1: 2}, "settings: expected an object with names for keys, found {1: 2}"),
        ("settings", {"deep": {"er": float("nan")}}, "settings: expected a finite number"),
        ("words", "xy", "words: expected a list, found 'xy'"),
        ("points", [[1, 0.5, 3]], "points: expected [step, value], found [1, 0.5, 3]"),
    ],
)
def test_a_field_of_another_kind_is_refused_by_name(field, value, message):
    with pytest.raises(InputError) as caught:
        Sample(**{**GOOD, field: value})
    assert message in str(caught.value)


def test_all_faults_of_a_record_are_told_at_once():
    with pytest.raises(InputError, match=r"name: .*; count: "):
        Sample(**{**GOOD, "name": 1, "count": "x"})


def test_written_records_read_back_equal_and_write_the_same_bytes(tmp_path):
    records = [Sample(**GOOD), Sample(**{**GOOD, "name": "line\nbreak \u2028 ä \ud800"})]
    write_records(tmp_path / "a.jsonl", records)
    read = read_records(tmp_path / "a.jsonl", Sample)
    write_records(tmp_path / "b.jsonl", read)

    assert list(read) == records
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert (tmp_path / "a.jsonl").read_bytes().count(b"\n") == 2


@settings(deadline=None, derandomize=True, database=None)
@given(JSON_VALUES, st.floats(allow_nan=False, allow_infinity=False))
def test_any_setting_and_any_float_survive_the_round_trip(setting, rate):
    record = Sample(**{**GOOD, "settings": {"a": setting}, "rate": rate})

    again = Sample(**json.loads(record.line()))

    assert again == record
    assert again.line() == record.line()


def test_reading_names_every_faulty_line(tmp_path):
    good = Sample(**GOOD).line()
    lines = [
        good,
        good[:-5],
        "[1]",
        json.dumps({**GOOD, "count": "many"}),
        json.dumps({name: value for name, value in GOOD.items() if name != "rate"}),
        json.dumps({**GOOD, "extra": 1}),
        good.replace("0.1", "NaN"),
        good.replace('{"name": "a"', '{"name": "a", "name": "b"'),
        "",
        good,
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")

    with pytest.raises(InputError) as caught:
        read_records(tmp_path / "a.jsonl", Sample)

    first, *found = str(caught.value).splitlines()
    assert "a.jsonl" in first
    assert "Sample" in first
    assert [fault.split(":")[0] for fault in found] == [f"  - line {n}" for n in range(2, 10)]
    assert "expected an object in JSON, found a list" in found[1]
    assert "count: expected a whole number, found 'many'" in found[2]
    assert "missing: rate" in found[3]
    assert "unexpected: extra" in found[4]
    assert "NaN is not a number in JSON" in found[5]
    assert "'name' is given twice" in found[6]


@dataclasses.dataclass(frozen=True)
class Later(Sample):
    more: dict[str, str] = dataclasses.field(default_factory=dict)


def test_a_line_of_an_earlier_version_lacks_a_field_that_came_later(tmp_path):
    write_records(tmp_path / "a.jsonl", [Sample(**GOOD)])
    assert read_records(tmp_path / "a.jsonl", Later) == (Later(**GOOD, more={}),)


def test_lines_are_cut_only_at_line_feeds():
    text = Sample(**GOOD).line().replace('"a"', '"a\u2028\x85b"', 1)
    (read,) = parse_records(text.encode() + b"\r\n", "a.jsonl", Sample)
    assert read.name == "a\u2028\x85b"


def test_a_line_that_is_not_utf8_is_refused():
    with pytest.raises(InputError, match=r"line 1: not valid JSON: byte 0 is not UTF-8"):
        parse_records(b"\xff\n", "a.jsonl", Sample)


def test_an_empty_file_has_no_records(tmp_path):
    write_records(tmp_path / "a.jsonl", [])
    assert read_records(tmp_path / "a.jsonl", Sample) == ()


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert (
        canonical_json({"b": 1, "a": {"d": 0.1, "c": None}})
        == '{"a": {"c": null, "d": 0.1}, "b": 1}'
    )
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))
