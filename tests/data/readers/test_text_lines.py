from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.text_lines import LONGEST_LINE, numbered_lines, read_text
from fsl_jax.data.rows import Rows


def rows():
    return Rows("rows.txt", unit="line")


def test_lines_end_at_line_feeds_only():
    assert list(numbered_lines("one\u2028two\nthree\n", rows())) == [
        (1, "one\u2028two"),
        (2, "three"),
        (3, ""),
    ]


def test_lines_that_cannot_be_used_are_named():
    noted = rows()
    text = "one\n" + "x" * (LONGEST_LINE + 1) + "\ntwo\0\nthree"
    assert [number for number, _ in numbered_lines(text, noted)] == [1, 4]
    long, null = noted.malformed
    assert long.startswith("line 2: it has 8,388,609 characters, and at most 8,388,608 are read")
    assert null == "line 3: it has a null character, which no text has"


def test_windows_lines_and_encodings_are_read(write):
    noted = rows()
    path = write("rows.txt", "eins\r\nfür\r\n".encode("utf-16"))
    assert read_text(path, ReadOptions(), noted) == "eins\nfür\n"
    assert noted.remarks == ["rows.txt was read as utf-16; encoding chooses another."]


def test_what_cannot_be_decoded_is_malformed(write):
    noted = rows()
    path = write("rows.txt", b"one\n\xff\n")
    assert read_text(path, ReadOptions(encoding="utf-8"), noted) is None
    assert noted.malformed[0].startswith("line 2: not UTF-8")
