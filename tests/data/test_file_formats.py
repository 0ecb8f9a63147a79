import csv

import pytest
from fuzzing import read_damaged

from fsl_jax.data.file_formats import READERS, read_csv, read_jsonl

WANTED = ("text", "label")


def values(table):
    return [row.values for row in table.rows]


@pytest.mark.parametrize("suffix", READERS)
def test_rows_come_in_the_order_of_the_file(suffix, write):
    rows = [
        {"label": "a", "other": "x", "text": "one, two"},
        {"label": "b", "other": "y", "text": 'a "quoted"\nnew line — ü'},
        {"label": "NA", "other": "z", "text": "null"},
    ]
    table = READERS[suffix](write(f"rows{suffix}", rows), WANTED, None)
    assert table.malformed == []
    assert table.columns == ("label", "other", "text")
    assert values(table) == [(row["text"], row["label"]) for row in rows]


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("missing", ["text", "label"])
def test_without_a_wanted_column_there_are_columns_and_no_rows(suffix, missing, write):
    row = {"text": "one", "label": "a", "other": "x"}
    del row[missing]
    table = READERS[suffix](write(f"rows{suffix}", [row]), WANTED, None)
    assert (table.columns, table.rows, table.malformed) == (tuple(row), [], [])


class TestJsonl:
    def test_names_each_line_that_is_no_object(self, write):
        content = '{"text": "one", "label": "a"}\n{"text": "two"\n\n[1, 2]\n{"text": "three"}\n'
        table = read_jsonl(write("rows.jsonl", content), WANTED)
        assert [(row.number, row.values) for row in table.rows] == [
            (1, ("one", "a")),
            (5, ("three", None)),
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
    def test_what_json_cannot_hold_is_malformed(self, line, write):
        table = read_jsonl(write("rows.jsonl", b'{"text": "one"}\n' + line), WANTED)
        assert [place.split(":")[0] for place in table.malformed] == ["line 2"]

    def test_a_byte_order_mark_and_windows_lines_are_fine(self, write):
        content = '\ufeff{"text": "one", "label": "a"}\r\n{"text": "two", "label": "b"}\r\n'
        table = read_jsonl(write("rows.jsonl", content), WANTED)
        assert (values(table), table.malformed) == ([("one", "a"), ("two", "b")], [])

    def test_a_line_separator_within_a_text_ends_no_line(self, write):
        content = '{"text": "one\u2028two", "label": "a"}'
        assert values(read_jsonl(write("rows.jsonl", content), WANTED)) == [("one\u2028two", "a")]


class TestCsv:
    def test_names_the_line_that_a_row_starts_at(self, write):
        content = 'text,label\n"one\ntwo",a\n\nthree\nfour,b,c\nfive,d\n'
        table = read_csv(write("rows.csv", content), WANTED)
        assert [(row.number, row.values) for row in table.rows] == [
            (2, ("one\ntwo", "a")),
            (7, ("five", "d")),
        ]
        assert table.malformed == [
            "line 5: 1 values where the header has 2",
            "line 6: 3 values where the header has 2",
        ]

    @pytest.mark.parametrize(
        ("content", "place"),
        [
            (b'text,label\none,a\n"two,b\nthree,c\n', "line 3: unexpected end of data"),
            (b'text,label\n"one" two,a\n', "line 2: ',' expected after '\"'"),
            (b"text,label\none,a\ncaf\xe9,b\n", "line 3: not UTF-8"),
        ],
    )
    def test_names_the_line_where_reading_had_to_stop(self, content, place, write):
        (malformed,) = read_csv(write("rows.csv", content), WANTED).malformed
        assert malformed.startswith(place)

    def test_a_byte_order_mark_and_windows_lines_are_fine(self, write):
        table = read_csv(write("rows.csv", "\ufefftext,label\r\none,a\r\n"), WANTED)
        assert (values(table), table.malformed) == ([("one", "a")], [])

    def test_a_long_text_is_read_and_the_limit_of_others_stays(self, write):
        usual = csv.field_size_limit(200_000)
        long = "word " * 50_000
        table = read_csv(write("rows.csv", [{"text": long, "label": "a"}]), WANTED)
        assert values(table) == [(long, "a")]
        assert csv.field_size_limit(usual) == 200_000

    def test_a_column_that_is_there_twice_is_not_chosen_between(self, write):
        table = read_csv(write("rows.csv", "text,label,text\none,a,two\n"), WANTED)
        assert (table.columns, table.rows) == (("text", "label", "text"), [])


@pytest.mark.parametrize("cases", [1000, pytest.param(20_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_damaged_files_are_read(suffix, cases, write):
    path = write(f"rows{suffix}", [{"text": f"text {n} ü", "label": "ab"[n % 2]} for n in range(9)])
    seed = path.read_bytes()

    def read(content):
        path.write_bytes(content)
        return READERS[suffix](path, WANTED, None)

    read_damaged(read, [seed], cases)
