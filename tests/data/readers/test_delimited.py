import csv

import pytest

from fsl_jax.data.readers.delimited import read_csv, read_tsv
from fsl_jax.data.readers.options import ReadOptions


def values(rows):
    return [row.values for row in rows.rows]


def test_names_the_line_that_a_row_starts_at(write):
    content = 'text,label\n"one\ntwo",a\n\nthree\nfour,b,c\nfive,d\n'
    table = read_csv(write("rows.csv", content))
    assert [(row.number, row.values) for row in table.rows] == [
        (2, {"text": "one\ntwo", "label": "a"}),
        (7, {"text": "five", "label": "d"}),
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
        (b"text,label\none,a\ncaf\xc3\xa9 \xc3\xbc \xe9,b\n", "line 3: not UTF-8"),
        (b"text,label\none\0,a\n", "line 2: it has a null character"),
    ],
)
def test_names_the_line_where_reading_had_to_stop(content, place, write):
    (malformed,) = read_csv(write("rows.csv", content)).malformed
    assert malformed.startswith(place)


def test_a_byte_order_mark_and_windows_lines_are_fine(write):
    table = read_csv(write("rows.csv", "\ufefftext,label\r\none,a\r\n"))
    assert (values(table), table.malformed) == ([{"text": "one", "label": "a"}], [])
    assert table.remarks == []


def test_a_long_text_is_read_and_the_limit_of_others_stays(write):
    usual = csv.field_size_limit(200_000)
    long = "word " * 50_000
    table = read_csv(write("rows.csv", [{"text": long, "label": "a"}]))
    assert values(table) == [{"text": long, "label": "a"}]
    assert csv.field_size_limit(usual) == 200_000


def test_a_column_that_is_there_twice_is_not_chosen_between(write):
    table = read_csv(write("rows.csv", "text,label,text\none,a,two\n"))
    assert (table.columns, values(table)) == (("text", "label", "text"), [{"label": "a"}])


@pytest.mark.parametrize(("name", "separator"), [("semicolon", ";"), ("tab", "\t")])
def test_another_separator_is_found_out_and_said(name, separator, write):
    content = separator.join(("text", "label")) + "\n" + separator.join(("one, two", "a")) + "\n"
    rows = read_csv(write("rows.csv", content))
    assert values(rows) == [{"text": "one, two", "label": "a"}]
    assert f"separated by {name}s" in rows.remarks[0]


def test_a_separator_may_be_given(write):
    path = write("rows.csv", "text|label\none, two; three|a\n")
    rows = read_csv(path, ReadOptions(separator="|"))
    assert values(rows) == [{"text": "one, two; three", "label": "a"}]
    assert rows.remarks == []


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030", "cp1252", "cp1251", "cp932"])
def test_another_encoding_is_found_out_and_said(encoding, write):
    text = {
        "utf-16": "Ça va, 天气",
        "gb18030": "今天天气很好 我们去公园",
        "cp1252": "Le café était très bon à l'école",
        "cp1251": "Ждём тёплый июльский дождь",
        "cp932": "今日は天気がいいです",
    }[encoding]
    rows = read_csv(write("rows.csv", f'text,label\n"{text}",a\n'.encode(encoding)))
    assert values(rows) == [{"text": text, "label": "a"}]
    assert f"rows.csv was read as {encoding}" in rows.remarks[0]


def test_an_encoding_that_is_given_is_not_found_out(write):
    path = write("rows.csv", b"text,label\ncaf\xe9,a\n")
    rows = read_csv(path, ReadOptions(encoding="latin-1"))
    assert (values(rows), rows.remarks) == ([{"text": "café", "label": "a"}], [])
    assert "line 2: not ascii" in read_csv(path, ReadOptions(encoding="ascii")).malformed[0]


class TestTsv:
    def test_commas_and_quotes_are_ordinary_characters(self, write):
        content = 'text\tlabel\n"so, she said\ta\nfive" long\tb\n'
        rows = read_tsv(write("rows.tsv", content))
        assert values(rows) == [
            {"text": '"so, she said', "label": "a"},
            {"text": 'five" long', "label": "b"},
        ]
        assert "Quotes in rows.tsv are ordinary characters" in rows.remarks[0]

    def test_quotes_around_all_of_a_value_are_not_part_of_it(self, write):
        rows = read_tsv(write("rows.tsv", 'text\tlabel\n"one\ttwo\nthree"\ta\n'))
        assert values(rows) == [{"text": "one\ttwo\nthree", "label": "a"}]

    def test_a_broken_row_is_named_where_quotes_are_not_at_fault(self, write):
        rows = read_tsv(write("rows.tsv", "text\tlabel\none\ta\ntwo\n"))
        assert rows.malformed == ["line 3: 1 values where the header has 2"]
        assert [row.number for row in rows.rows] == [2]
