import json

import pytest

from fsl_jax.data.readers.json_rows import read_json_rows

ROWS = [{"text": "one", "score": 0.5}, {"text": "two", "label": None}]
FILLED = [
    {"text": "one", "score": 0.5, "label": None},
    {"text": "two", "score": None, "label": None},
]


def values(rows):
    return [row.values for row in rows.rows]


def test_an_array_has_the_rows(write):
    rows = read_json_rows(write("rows.json", json.dumps(ROWS, indent=2)))
    assert (values(rows), rows.malformed, rows.remarks) == (FILLED, [], [])
    assert [row.number for row in rows.rows] == [1, 2]
    assert rows.columns == ("text", "score", "label")


def test_an_object_may_have_one_list_of_rows(write):
    content = {"version": "1.0", "names": ["a"], "data": ROWS}
    rows = read_json_rows(write("rows.json", json.dumps(content)))
    assert values(rows) == FILLED
    assert rows.remarks == ["The rows of rows.json are those of 'data'."]


def test_json_lines_of_this_suffix_are_read(write):
    rows = read_json_rows(write("rows.json", "".join(json.dumps(row) + "\n" for row in ROWS)))
    assert values(rows) == FILLED
    assert rows.unit == "line"
    assert "as JSON Lines" in rows.remarks[0]


def test_questions_of_squad_are_read(write):
    paragraph = {"context": "One.", "qas": [{"question": "Who?", "answers": []}]}
    content = {"data": [{"title": "t", "paragraphs": [paragraph]}]}
    rows = read_json_rows(write("rows.json", json.dumps(content)))
    assert values(rows)[0]["question"] == "Who?"


def test_what_is_no_object_is_named(write):
    rows = read_json_rows(write("rows.json", '[{"text": "one"}, 5, {"text": "three"}]'))
    assert rows.malformed == ["row 2: expected an object in JSON, found 5"]
    assert [row.number for row in rows.rows] == [1, 3]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[{"text": "one"},\n {"text": ]', "not valid JSON: Expecting value: line 2 column 11"),
        ('[{"score": NaN}]', "NaN is not a number in JSON"),
        ('"text"', "expected a list of objects, or an object with one such list, found 'text'"),
        ('{"text": ["one"], "label": ["a"]}', "found an object with ['text', 'label']"),
        ('{"a": [{"x": 1}], "b": [{"x": 1}]}', "found an object with ['a', 'b']"),
        (b'[{"text": "caf\xc3\xa9 \xc3\xbc \xe9"}]', "line 1: not UTF-8"),
    ],
)
def test_other_contents_are_malformed(content, problem, write):
    rows = read_json_rows(write("rows.json", content))
    assert rows.rows == []
    (message,) = rows.malformed
    assert problem in message


def test_an_empty_list_has_no_rows(write):
    rows = read_json_rows(write("rows.json", "[]"))
    assert (rows.columns, rows.rows, rows.malformed) == ((), [], [])
