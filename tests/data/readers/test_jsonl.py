import gzip

import pytest

from fsl_jax.data.readers.jsonl import read_jsonl
from fsl_jax.data.readers.options import ReadOptions


def values(rows):
    return [row.values for row in rows.rows]


def test_names_each_line_that_is_no_object(write):
    content = '{"text": "one", "label": "a"}\n{"text": "two"\n\n[1, 2]\n{"text": "three"}\n'
    table = read_jsonl(write("rows.jsonl", content))
    assert [(row.number, row.values) for row in table.rows] == [
        (1, {"text": "one", "label": "a"}),
        (5, {"text": "three", "label": None}),
    ]
    first, second = table.malformed
    assert first.startswith("line 2: not valid JSON")
    assert "column 15" in first
    assert second == "line 4: expected an object in JSON, found a list"


@pytest.mark.parametrize(
    "line",
    [
        b'{"text": "caf\xe9"}',
        b"[" * 100_000,
        b'{"label": ' + b"9" * 5000 + b"}",
        b'{"text": "one", "label": "a", "label": "b"}',
        b'{"text": "one", "more": {"a": 1, "a": 2}}',
        b'{"text": "one", "score": NaN}',
    ],
)
def test_what_json_cannot_hold_is_malformed(line, write):
    table = read_jsonl(write("rows.jsonl", b'{"text": "one"}\n' + line))
    assert [place.split(":")[0] for place in table.malformed] == ["line 2"]


def test_a_byte_order_mark_and_windows_lines_are_fine(write):
    content = '\ufeff{"text": "one", "label": "a"}\r\n{"text": "two", "label": "b"}\r\n'
    table = read_jsonl(write("rows.jsonl", content))
    assert values(table) == [{"text": "one", "label": "a"}, {"text": "two", "label": "b"}]
    assert (table.columns, table.malformed, table.remarks) == (("text", "label"), [], [])


def test_a_line_separator_within_a_text_ends_no_line(write):
    content = '{"text": "one\u2028two", "label": "a"}'
    assert values(read_jsonl(write("rows.jsonl", content)))[0]["text"] == "one\u2028two"


def test_values_keep_their_types(write):
    row = {"score": 0.5, "count": 3, "flag": True, "tags": ["a", 1], "head": {"at": [0, 1]}}
    assert values(read_jsonl(write("rows.jsonl", [row]))) == [row]


def test_an_encoding_may_be_marked_or_given(write):
    content = '{"text": "schön"}\n'
    marked = read_jsonl(write("marked.jsonl", content.encode("utf-16")))
    assert values(marked) == [{"text": "schön"}]
    assert "read as utf-16" in marked.remarks[0]
    path = write("given.jsonl", content.encode("cp1252"))
    assert read_jsonl(path).malformed
    assert values(read_jsonl(path, ReadOptions(encoding="cp1252"))) == [{"text": "schön"}]


def test_a_line_of_ten_megabytes_is_named(write):
    content = '{"text": "one"}\n{"text": "' + "x" * 10_000_000 + '"}\n{"text": "three"}\n'
    rows = read_jsonl(write("rows.jsonl", content))
    assert [row.number for row in rows.rows] == [1, 3]
    (problem,) = rows.malformed
    assert problem.startswith("line 2: it has 10,000,012 characters")


def test_a_compressed_file_is_read(write):
    content = gzip.compress(b'{"text": "one"}\n')
    assert values(read_jsonl(write("rows.jsonl.gz", content))) == [{"text": "one"}]
