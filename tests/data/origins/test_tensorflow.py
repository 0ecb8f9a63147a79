"""A data set is prepared here with the library's own tools, without TensorFlow."""

import functools
import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from fsl_jax.data.origins.tensorflow import tensorflow_parts
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.errors import InputError


class TinyTexts(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.2.3")

    def _info(self):
        tag = tfds.features.ClassLabel(names=["O", "B-X"])
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "text": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=["dog", "cat"]),
                    "tokens": tfds.features.Sequence(tfds.features.Text()),
                    "tags": tfds.features.Sequence(tag),
                    "answer": {"label": tag, "score": np.float32},
                }
            ),
        )

    def _split_generators(self, dl_manager):
        sizes = {"train": 5, "test": 2, "extra": 1}
        return {split: self._generate_examples(size) for split, size in sizes.items()}

    def _generate_examples(self, size):
        for n in range(size):
            values = {"text": f"text {n} ü", "label": n % 2, "tokens": ["a", "b"], "tags": [0, 1]}
            yield n, {**values, "answer": {"label": 1, "score": 0.5}}


@pytest.fixture(scope="module", params=["array_record", "parquet"])
def prepared(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    TinyTexts(data_dir=folder, file_format=request.param).download_and_prepare()
    return folder / "tiny_texts/1.2.3"


def read(name, **options):
    return tensorflow_parts(str(name), ReadOptions(**options))


def test_a_prepared_folder_is_read_without_tensorflow(prepared):
    parts = read(prepared)
    assert "tensorflow" not in sys.modules
    (train,), (test,) = parts["train"], parts["test"]
    assert (len(train.rows), len(test.rows), list(parts)) == (5, 2, ["train", "test"])
    assert sorted(train.columns) == ["answer", "label", "tags", "text", "tokens"]
    by_text = {row.values["text"]: row.values for row in train.rows}
    assert by_text["text 3 ü"] == {
        "text": "text 3 ü",
        "label": "cat",
        "tokens": ["a", "b"],
        "tags": ["O", "B-X"],
        "answer": {"label": "B-X", "score": 0.5},
    }
    assert train.revision == "1.2.3"
    assert train.remarks == [
        f"tfds:{prepared} was read at version 1.2.3.",
        f"These parts of tfds:{prepared} are not read: extra.",
    ]


def test_a_data_set_of_the_library_is_prepared(tmp_path, monkeypatch):
    builder = functools.partial(tfds.builder, data_dir=tmp_path)
    monkeypatch.setattr(tfds, "builder", builder)
    assert len(read("tiny_texts")["train"][0].rows) == 5
    assert list((tmp_path / "tiny_texts/1.2.3").glob("*.array_record*"))
    assert len(read("tiny_texts:1.2.3", max_rows=2)["train"][0].rows) == 2


def test_a_limit_is_said(prepared):
    remarks = read(prepared, max_rows=3)["train"][0].remarks
    assert remarks[0] == (
        f"The first 3 rows of tfds:{prepared} (train) were read; max_rows allows more."
    )


@pytest.mark.parametrize("name", ["huggingface:squad", "someone:code", "../x", "Big", "a b"])
def test_names_that_may_bring_code_are_refused(name):
    with pytest.raises(InputError, match=r"expected tfds:NAME\[/CONFIG\]\[:VERSION\]"):
        read(name)


def test_a_data_set_that_is_not_there_is_an_error():
    with pytest.raises(InputError, match="tfds:no_such_texts cannot be read without TensorFlow"):
        read("no_such_texts")


def test_classes_from_elsewhere_are_not_imported(prepared, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(prepared, folder)
    features = json.loads((folder / "features.json").read_text())
    features["featuresDict"]["features"]["text"]["pythonClassName"] = "os.path.Text"
    (folder / "features.json").write_text(json.dumps(features))
    with pytest.raises(InputError, match=r"the class 'os\.path\.Text' is not one of the library"):
        read(folder)


def test_a_damaged_folder_is_refused(prepared, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(prepared, folder)
    (folder / "dataset_info.json").write_text("{}")
    with pytest.raises(InputError):
        read(folder)
