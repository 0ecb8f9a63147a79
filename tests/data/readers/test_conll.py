import pytest

from fsl_jax.data.readers.conll import looks_like_conll, read_conll


def sentences(rows):
    return [(row.number, row.values["tokens"], row.values["tags"]) for row in rows.rows]


@pytest.mark.parametrize("between", ["\n", "\t\n", "  \n", "\r\n", "\n\n\n"])
@pytest.mark.parametrize("space", ["\t", " "])
def test_lines_without_text_are_between_sentences(between, space, write):
    content = f"EU{space}B-ORG\nrejects{space}O\n{between}Peter{space}B-PER\n"
    rows = read_conll(write("rows.conll", content))
    second = 4 + between.count("\n") - 1
    assert sentences(rows) == [
        (1, ["EU", "rejects"], ["B-ORG", "O"]),
        (second, ["Peter"], ["B-PER"]),
    ]
    assert (rows.columns, rows.malformed, rows.remarks) == (("tokens", "tags"), [], [])


def test_the_first_and_the_last_column_count(write):
    content = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n"
    assert sentences(read_conll(write("rows.conll", content))) == [
        (3, ["EU", "rejects"], ["B-ORG", "O"])
    ]


@pytest.mark.parametrize("comment", ["# id 7\tdomain=en", "# id 7 domain=en", "# text = Where?"])
def test_comments_are_no_words_and_words_are_no_comments(comment, write):
    content = f"{comment}\nwhere _ _ O\n\n# _ _ O\n#tag _ _ O\n"
    assert sentences(read_conll(write("rows.conll", content))) == [
        (2, ["where"], ["O"]),
        (4, ["#", "#tag"], ["O", "O"]),
    ]


def test_words_between_tabs_keep_their_characters(write):
    content = "a\u00a0b\tO\n\u3000\tO\n"
    assert sentences(read_conll(write("rows.conll", content)))[0][1] == ["a\u00a0b", "\u3000"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("rejects", "line 4: expected a word and its tag, found 'rejects'"),
        ("rejects\tVBZ\tO", "line 4: 3 columns where the first line has 2"),
        ("\tO", "line 4: an empty word in ['', 'O']"),
        ("rejects\t", "line 4: an empty tag in ['rejects', '']"),
        ("x" * 9_000_000 + "\tO", "line 4: it has 9,000,002 characters"),
    ],
)
def test_a_broken_line_is_named_and_its_sentence_left_out(line, problem, write):
    content = f"one\tO\n\ntwo\tO\n{line}\nthree\tO\n\nfour\tO\n"
    rows = read_conll(write("rows.conll", content))
    assert [tokens for _, tokens, _ in sentences(rows)] == [["one"], ["four"]]
    assert len(rows.malformed) == 1
    assert rows.malformed[0].startswith(problem)


def test_a_file_without_tags_names_all_its_lines(write):
    rows = read_conll(write("rows.conll", "EU\nrejects\n"))
    assert rows.rows == []
    assert len(rows.malformed) == 2


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("EU B-ORG\nrejects O\n\nPeter B-PER\n", True),
        ("-DOCSTART- -X- O\n\nEU NNP B-ORG\n", True),
        ("good day\nbad day\n", False),
        ("type O\nblood\n", False),
        ("O\nB-PER\n", False),
        ("", False),
    ],
)
def test_words_with_tags_are_told_from_other_texts(text, looks):
    assert looks_like_conll(text) == looks
