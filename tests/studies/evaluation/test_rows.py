import json

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.evaluation.rows import load_test_rows
from fsl_jax.tasks import load_dataset


def write(path, *rows):
    path.write_text("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows))
    return str(path)


def test_all_rows_of_a_file_are_read_in_order(tmp_path):
    rows = [(f"text {number}", "cat" if number % 3 else "dog") for number in range(50)]
    name = write(tmp_path / "held_out.jsonl", *rows)
    dataset, note = load_test_rows(name)
    assert [(row.text, row.answer) for row in dataset.test] == rows
    assert dataset.labels == ("cat", "dog")
    assert note.startswith(f"Read all 50 rows of {name}. ")


def test_rows_that_repeat_a_text_count_and_are_told(tmp_path):
    name = write(tmp_path / "a.jsonl", ("One", "cat"), ("one ", "dog"), ("two", "cat"))
    dataset, note = load_test_rows(name)
    assert len(dataset.test) == 3
    assert "all 3 rows" in note
    assert "1 of them repeat the text of another row" in note


def test_a_file_may_have_one_class_or_one_row(tmp_path):
    dataset, _ = load_test_rows(write(tmp_path / "a.jsonl", ("one", "cat")))
    assert (len(dataset.test), dataset.labels) == (1, ("cat",))


def test_of_a_directory_the_test_file_is_read(tmp_path):
    rows = [(f"text {number}", ("cat", "dog")[number % 2]) for number in range(10)]
    write(tmp_path / "train.jsonl", *rows, rows[0])
    write(tmp_path / "test.jsonl", ("new text", "cat"), ("newer text", "dog"))
    dataset, note = load_test_rows(str(tmp_path))
    assert dataset.sha256 == load_dataset(str(tmp_path)).sha256
    assert f"the test set of {tmp_path}: 2 rows, after 1 duplicate" in note


def test_of_an_embedded_data_set_its_test_set_is_read():
    dataset, note = load_test_rows("bbc_headlines")
    assert dataset.sha256 == load_dataset("bbc_headlines").sha256
    assert f"{len(dataset.test)} rows" in note


def test_what_is_not_there_or_empty_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file or directory"):
        load_test_rows(str(tmp_path / "nothing.jsonl"))
    with pytest.raises(InputError, match="empty"):
        load_test_rows(write(tmp_path / "a.jsonl"))
