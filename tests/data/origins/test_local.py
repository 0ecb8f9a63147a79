import pytest

from fsl_jax.data.origins.local import local_parts
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.errors import InputError

ROWS = [{"text": "sun", "label": "good"}, {"text": "rain", "label": "bad"}]


def sizes(parts):
    return {part: [len(rows.rows) for rows in files] for part, files in parts.items()}


def test_a_file_is_the_part_to_train_on(write):
    parts = local_parts(write("weather.csv", ROWS), ReadOptions())
    assert sizes(parts) == {"train": [2]}
    assert parts["train"][0].rows[0].values == {"text": "sun", "label": "good"}


def test_a_folder_may_mix_formats_and_use_other_names(write, tmp_path):
    write("train.conll", "EU\tB-ORG\n\nPeter\tB-PER\n")
    write("dev.txt", "EU B-ORG\n")
    write("test.jsonl", [{"tokens": ["EU"], "tags": ["B-ORG"]}])
    parts = local_parts(tmp_path, ReadOptions())
    assert sizes(parts) == {"train": [2], "validation": [1], "test": [1]}
    assert {rows.columns for files in parts.values() for rows in files} == {("tokens", "tags")}


def test_options_reach_the_readers(write):
    path = write("weather.csv", b"text|label\ncaf\xe9|good\n")
    parts = local_parts(path, ReadOptions(encoding="latin-1", separator="|"))
    assert parts["train"][0].rows[0].values == {"text": "café", "label": "good"}


def test_a_limit_holds_for_all_files_of_a_part(write, tmp_path):
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        write(f"{name}.parquet", ROWS)
    parts = local_parts(tmp_path, ReadOptions(max_rows=3))
    assert sizes(parts) == {"train": [2, 1], "test": [2]}
    assert parts["train"][1].remarks == [
        "The first 1 rows of train-00001-of-00002.parquet were read; max_rows allows more."
    ]


def test_what_has_no_reader_is_refused(write):
    with pytest.raises(InputError, match=r"weather\.doc has the suffix '\.doc'"):
        local_parts(write("weather.doc", "sun"), ReadOptions())
