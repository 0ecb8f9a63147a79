import pytest

from fsl_jax.data import Example
from fsl_jax.data.file_formats import READERS
from fsl_jax.data.local_files import read_local
from fsl_jax.errors import InputError

ROWS = [{"text": "sun", "label": "good"}, {"text": "rain", "label": "bad"}]
EXAMPLES = (Example("sun", "good"), Example("rain", "bad"))


def read(path, text_column="text", label_column="label"):
    return read_local(path, text_column, label_column)


def message(path, **columns):
    with pytest.raises(InputError) as error:
        read(path, **columns)
    return str(error.value)


@pytest.mark.parametrize("suffix", READERS)
def test_a_single_file_names_no_test_set(suffix, write):
    parts = read(write(f"weather{suffix}", ROWS))
    assert (parts.train, parts.validation, parts.test) == (EXAMPLES, (), None)


def test_a_directory_may_mix_formats_and_hold_other_files(write, tmp_path):
    write("train.jsonl", ROWS)
    write("test.CSV", "text,label\nwind,bad\n")
    write("README.md", "What this is.")
    assert read(tmp_path).validation == ()
    write("validation.parquet", ROWS[:1])
    parts = read(tmp_path)
    assert parts.train == EXAMPLES
    assert parts.validation == EXAMPLES[:1]
    assert parts.test == (Example("wind", "bad"),)


def test_columns_have_the_names_they_are_given(write):
    path = write("weather.jsonl", [{"sentence": "sun", "class": "good", "text": "not this"}])
    assert read(path, "sentence", "class").train == EXAMPLES[:1]
    assert "both 'text'" in message(path, label_column="text")


def test_labels_are_text_whatever_the_file_calls_them(write):
    labels = [0, 17, -3, True, "  spaced ", "1.0"]
    path = write("weather.jsonl", [{"text": f" {n}\n", "label": x} for n, x in enumerate(labels)])
    examples = read(path).train
    assert [e.label for e in examples] == ["0", "17", "-3", "true", "spaced", "1.0"]
    assert [e.text for e in examples] == ["0", "1", "2", "3", "4", "5"]
    rows = [{"text": "one", "label": 5}, {"text": "two", "label": 6}]
    assert [e.label for e in read(write("weather.parquet", rows)).train] == ["5", "6"]


@pytest.mark.parametrize("suffix", READERS)
def test_a_missing_column_shows_those_there_are(suffix, write):
    says = message(write(f"weather{suffix}", [{"sentence": "sun", "label": "good"}]))
    assert f"weather{suffix} has no column 'text'; its columns are 'sentence', 'label'" in says
    assert says.count("\n") == 1


def test_a_column_that_is_there_twice_is_refused(write):
    says = message(write("weather.csv", "text,label,text\nsun,good,rain\n"))
    assert "has more than one column 'text'" in says


def test_rows_that_cannot_be_used_are_named(write):
    texts = ["sun", "", "  \n", None, 7, "\ud800", "rain"]
    rows = [{"text": text, "label": "good"} for text in texts]
    rows += [{"label": "good"}, {"text": "wind"}]
    rows += [{"text": "haze", "label": label} for label in (None, " ", 1.5, ["a"])]
    says = message(write("weather.jsonl", rows))
    for line in (
        "empty text in column 'text', line 2, 3",
        "no text in column 'text', line 4, 8",
        "int instead of text in column 'text', line 5",
        "half a surrogate pair, which is no character, in column 'text', line 6",
        "no label in column 'label', line 9, 10, 11",
        "float instead of a label (text, integer or boolean) in column 'label', line 12",
        "list instead of a label (text, integer or boolean) in column 'label', line 13",
    ):
        assert f"weather.jsonl: {line}\n" in f"{says}\n"


def test_a_message_stays_short_when_every_row_is_at_fault(write):
    says = message(write("weather.csv", "text,label\n" + ",good\n" * 1000))
    assert "empty text in column 'text', line 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 990 more" in says
    says = message(write("weather.jsonl", "text\n" * 1000))
    assert says.count("\n") == 11
    assert "990 more lines like these" in says


def test_malformed_lines_are_named_with_their_file(write, tmp_path):
    write("train.jsonl", '{"text": "sun", "label": "good"}\n{"text": ')
    write("test.csv", "text,label\nwind\n")
    write("validation.parquet", b"not Parquet")
    says = message(tmp_path)
    assert "train.jsonl, line 2: not valid JSON" in says
    assert "test.csv, line 2: 1 values where the header has 2" in says
    assert "validation.parquet, not a Parquet file" in says


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("weather.jsonl", "", "weather.jsonl is empty"),
        ("weather.jsonl", "\n\n", "weather.jsonl is empty"),
        ("weather.csv", "", "weather.csv is empty"),
        ("weather.csv", "text,label\n", "weather.csv has columns and no rows"),
        ("weather.txt", "sun", "weather.txt has the suffix '.txt': what can be read is .jsonl,"),
        ("weather", "sun", "weather has the suffix ''"),
    ],
)
def test_files_that_hold_nothing_to_read(name, content, says, write):
    assert says in message(write(name, content))
