from fsl_jax.data.readers.plain_text import read_plain_text


def test_each_line_is_a_text(write):
    rows = read_plain_text(write("rows.txt", " one, two\n\n\tthree\n"))
    assert [(row.number, row.values) for row in rows.rows] == [
        (1, {"text": "one, two"}),
        (3, {"text": "three"}),
    ]
    assert (rows.columns, rows.malformed, rows.remarks) == (("text",), [], [])


def test_words_with_tags_are_sentences(write):
    rows = read_plain_text(write("train.txt", "EU B-ORG\nrejects O\n"))
    assert [row.values for row in rows.rows] == [
        {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]}
    ]
    assert "train.txt was read as CoNLL columns" in rows.remarks[0]


def test_an_encoding_is_found_out(write):
    rows = read_plain_text(write("rows.txt", "今天天气很好\n".encode("gb18030")))
    assert rows.rows[0].values == {"text": "今天天气很好"}
    assert "gb18030" in rows.remarks[0]
