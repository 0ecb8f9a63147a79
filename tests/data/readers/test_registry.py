import gzip
import json

import pytest
from fuzzing import read_damaged

from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.registry import READERS, format_suffix, is_known, read_file
from fsl_jax.errors import InputError

TABLES = [suffix for suffix in READERS if suffix not in (".txt", ".conll", ".bio")]
TEXTS = [suffix for suffix in READERS if suffix not in (".parquet", ".arrow", ".xlsx")]
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Sun",
            "paragraphs": [
                {
                    "context": "The sun is a star.",
                    "qas": [
                        {
                            "id": "1",
                            "question": "What is the sun?",
                            "answers": [{"text": "a star", "answer_start": 11}],
                        }
                    ],
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("suffix", TABLES)
def test_rows_come_in_the_order_of_the_file(suffix, write):
    rows = [
        {"label": "a", "other": "x", "text": "one, two"},
        {"label": "b", "other": "y", "text": 'a "quoted"\nnew line — ü'},
        {"label": "NA", "other": "z", "text": "null"},
    ]
    table = read_file(write(f"rows{suffix}", rows), ReadOptions())
    assert (table.source, table.malformed, table.remarks) == (f"rows{suffix}", [], [])
    assert table.columns == ("label", "other", "text")
    assert [row.values for row in table.rows] == rows


def test_a_suffix_may_be_in_capitals_and_compressed(write):
    path = write("rows.CSV.gz", gzip.compress(b"text,label\none,a\n"))
    assert [row.values for row in read_file(path, ReadOptions()).rows] == [
        {"text": "one", "label": "a"}
    ]
    assert format_suffix(path) == ".csv"
    assert not is_known(path.with_name("rows.parquet.gz"))


@pytest.mark.parametrize("suffix", READERS)
def test_an_empty_file_says_so(suffix, write):
    (problem,) = read_file(write(f"rows{suffix}", ""), ReadOptions()).malformed
    assert "empty" in problem or "damaged" in problem


def test_files_that_cannot_be_read_are_refused(write, tmp_path):
    with pytest.raises(InputError, match=r"has the suffix '\.doc': what can be read is \.jsonl"):
        read_file(write("rows.doc", "text"), ReadOptions())
    with pytest.raises(InputError, match="no such file"):
        read_file(tmp_path / "missing.csv", ReadOptions())
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="not a plain file"):
        read_file(tmp_path / "folder.csv", ReadOptions())


def seeds(suffix):
    """Return the contents of a sound file or two."""
    rows = [{"text": f"text {n} ü", "label": "ab"[n % 2]} for n in range(9)]
    words = "EU\tB-ORG\nrejects\tO\n\n-DOCSTART-\tO\n\nü\tO\n"
    return {
        ".jsonl": ["".join(json.dumps(row) + "\n" for row in rows)],
        ".json": [json.dumps(rows), json.dumps(SQUAD), json.dumps({"rows": rows}, indent=1)],
        ".csv": ["text,label\n" + "".join(f"{row['text']},a\n" for row in rows)],
        ".tsv": ["text\tlabel\n" + "".join(f'"{row["text"]}\ta\n' for row in rows)],
        ".txt": ["".join(f"{row['text']}\n" for row in rows), words],
        ".conll": [words],
        ".bio": [words.replace("\t", " ")],
    }[suffix]


@pytest.mark.parametrize("cases", [500, pytest.param(20_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("suffix", TEXTS)
def test_damaged_files_are_read_or_refused(suffix, cases, tmp_path):
    path = tmp_path / f"rows{suffix}"

    def read(content):
        path.write_bytes(content)
        return read_file(path, ReadOptions())

    read_damaged(read, [seed.encode() for seed in seeds(suffix)], cases)


@pytest.mark.parametrize("cases", [200, pytest.param(5000, marks=pytest.mark.soak)])
@pytest.mark.parametrize(("encoding", "text"), [("gb18030", "今天天气"), ("cp1252", "café été")])
def test_damaged_files_in_other_encodings_are_read_or_refused(encoding, text, cases, tmp_path):
    path = tmp_path / "rows.csv"

    def read(content):
        path.write_bytes(content)
        return read_file(path, ReadOptions())

    read_damaged(read, [("text,label\n" + f"{text},a\n" * 9).encode(encoding)], cases)
