import json

import pytest

from fsl_jax.data.origins.directories import part_files
from fsl_jax.errors import InputError
from fsl_jax.tasks import load_dataset

ROWS = [{"text": "sun", "label": "good"}, {"text": "rain", "label": "bad"}]


def message(path):
    with pytest.raises(InputError) as error:
        part_files(path)
    return str(error.value)


def names(path):
    return {part: [file.name for file in files] for part, files in part_files(path).items()}


def test_all_that_is_wrong_with_a_directory_is_said_at_once(write, tmp_path):
    write("train.jsonl", ROWS)
    write("train.csv", ROWS)
    write("validation.doc", "text")
    says = message(tmp_path)
    assert "there is more than one train.*: train.csv and train.jsonl" in says
    assert "there is no test.*" in says
    assert "validation.doc has the suffix '.doc'" in says


@pytest.mark.parametrize("folder", ["", "data"])
def test_numbered_files_are_parts_in_their_order(folder, tmp_path, write):
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in ("train-00001-of-00002", "train-00000-of-00002", "test-00000-of-00001-0a1b2c"):
        write(f"{folder}/{name}.parquet".lstrip("/"), ROWS)
    write("README.md", "A data set.")
    assert names(tmp_path) == {
        "train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        "test": ["test-00000-of-00001-0a1b2c.parquet"],
    }


def test_a_numbered_file_that_is_missing_is_said(tmp_path, write):
    for name in ("train-00000-of-00003", "train-00002-of-00003", "test-00000-of-00001"):
        write(f"{name}.parquet", ROWS)
    assert "the numbered files of train are not complete" in message(tmp_path)


def test_numbered_files_beside_others_are_more_than_one(tmp_path, write):
    for name in ("train", "train-00000-of-00001", "test"):
        write(f"{name}.parquet", ROWS)
    assert "there is more than one train.*" in message(tmp_path)


class TestFoldersOfDatasets:
    @pytest.fixture
    def saved(self):
        import datasets

        features = datasets.Features(
            {
                "text": datasets.Value("string"),
                "label": datasets.ClassLabel(names=["dog", "cat"]),
            }
        )

        def make(part, count=20):
            rows = {"text": [f"{part} {n}" for n in range(count)], "label": [0, 1] * (count // 2)}
            return datasets.Dataset.from_dict(rows, features=features)

        return datasets, make

    def test_one_data_set_gives_a_fifth_to_the_test_set(self, saved, tmp_path):
        _, make = saved
        make("x").save_to_disk(tmp_path / "saved", num_shards=3)
        dataset = load_dataset(str(tmp_path / "saved"))
        assert dataset.labels == ("cat", "dog")
        assert (len(dataset.train), len(dataset.test)) == (16, 4)

    def test_parts_stay_parts(self, saved, tmp_path):
        datasets, make = saved
        parts = {part: make(part) for part in ("train", "validation", "test")}
        datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
        dataset = load_dataset(str(tmp_path / "saved"))
        assert [len(p) for p in (dataset.train, dataset.validation, dataset.test)] == [20] * 3
        assert dataset.train[0].answer == "dog"

    def test_parts_without_a_test_set_are_refused(self, saved, tmp_path):
        datasets, make = saved
        datasets.DatasetDict(train=make("train")).save_to_disk(tmp_path / "saved")
        assert "there is no test" in message(tmp_path / "saved")

    def test_rows_that_are_chosen_in_another_file_are_refused(self, tmp_path):
        files = {"_data_files": "data.arrow", "_indices_data_files": "indices.arrow"}
        state = {key: [{"filename": name}] for key, name in files.items()}
        (tmp_path / "state.json").write_text(json.dumps(state))
        with pytest.raises(InputError, match="save it again"):
            part_files(tmp_path)

    @pytest.mark.parametrize("name", ["../outside.arrow", "/etc/passwd", "a/b.arrow", "", None, 7])
    def test_names_of_files_cannot_leave_the_directory(self, name, tmp_path):
        state = {"_data_files": [{"filename": name}]}
        (tmp_path / "state.json").write_text(json.dumps(state))
        assert "expected the names of files beside it" in message(tmp_path)
