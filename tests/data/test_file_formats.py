import csv

import pyarrow
import pyarrow.parquet
import pytest

from fsl_jax.data.file_formats import READERS, read_csv, read_jsonl, read_parquet

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
    table = READERS[suffix](write(f"rows{suffix}", rows), WANTED)
    assert table.malformed == []
    assert table.columns == ("label", "other", "text")
    assert values(table) == [(row["text"], row["label"]) for row in rows]


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("missing", ["text", "label"])
def test_without_a_wanted_column_there_are_columns_and_no_rows(suffix, missing, write):
    row = {"text": "one", "label": "a", "other": "x"}
    del row[missing]
    table = READERS[suffix](write(f"rows{suffix}", [row]), WANTED)
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
        assert first.startswith("line 2: not JSON")
        assert "column 15" in first
        assert second == "line 4: not a JSON object but '[1, 2]'"

    @pytest.mark.parametrize(
        "line", [b'{"text": "caf\xe9"}', b"[" * 100_000, b'{"label": ' + b"9" * 5000 + b"}"]
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


class TestParquet:
    def test_a_truncated_file_is_damaged(self, write):
        path = write("rows.parquet", [{"text": f"text {n}", "label": "a"} for n in range(100)])
        content = path.read_bytes()
        for length in (0, 3, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:length])
            table = read_parquet(path, WANTED)
            assert table.rows == []
            assert "damaged" in table.malformed[0]

    def test_text_that_is_not_utf8_is_malformed(self, tmp_path):
        binary = pyarrow.array([b"caf\xe9"], pyarrow.binary())
        text = pyarrow.Array.from_buffers(pyarrow.string(), 1, binary.buffers())
        path = tmp_path / "rows.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"text": text, "label": ["a"]}), path)
        assert len(read_parquet(path, WANTED).malformed) == 1

    def test_a_column_that_is_there_twice_is_not_chosen_between(self, tmp_path):
        arrays = [pyarrow.array(["one"]), pyarrow.array(["a"]), pyarrow.array(["two"])]
        table = pyarrow.Table.from_arrays(arrays, ["text", "label", "text"])
        pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
        read = read_parquet(tmp_path / "rows.parquet", WANTED)
        assert (read.columns, read.rows, read.malformed) == (("text", "label", "text"), [], [])

    def test_categories_are_their_names(self, tmp_path):
        labels = pyarrow.array(["a", "b", "a"]).dictionary_encode()
        table = pyarrow.table({"text": ["1", "2", "3"], "label": labels})
        pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
        read = read_parquet(tmp_path / "rows.parquet", WANTED)
        assert [(row.number, row.values[1]) for row in read.rows] == [(1, "a"), (2, "b"), (3, "a")]
