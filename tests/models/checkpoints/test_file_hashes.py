import hashlib
import shutil

import pytest

import fsl_jax
from fsl_jax.models.checkpoints.file_hashes import file_hashes


def test_the_config_and_the_tokenizer_are_hashed_but_no_weights_and_no_notes(bert_directory):
    (bert_directory / "README.md").write_text("for people")
    (bert_directory / "vocab.txt").write_text("not read beside tokenizer.json")
    hashes = fsl_jax.load(str(bert_directory)).file_hashes
    assert list(hashes) == ["config.json", "tokenizer.json", "tokenizer_config.json"]
    for name, digest in hashes.items():
        assert digest == hashlib.sha256((bert_directory / name).read_bytes()).hexdigest()


def test_another_name_of_the_directory_changes_nothing(bert_directory, tmp_path):
    moved = shutil.copytree(bert_directory, tmp_path / "moved")
    assert file_hashes(moved) == file_hashes(bert_directory)


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer.4.0.0.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "additional_chat_templates/tools.jinja",
    ],
)
def test_each_file_that_is_read_counts(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    before = file_hashes(tmp_path)
    path.write_text("{ }")
    after = file_hashes(tmp_path)
    assert list(before) == list(after) == [name]
    assert before != after


def test_a_vocabulary_counts_where_it_stands_for_the_tokenizer(tmp_path):
    (tmp_path / "vocab.txt").write_text("a")
    assert list(file_hashes(tmp_path)) == ["vocab.txt"]
    (tmp_path / "tokenizer.json").write_text("{}")
    assert list(file_hashes(tmp_path)) == ["tokenizer.json"]


def test_the_index_counts_where_weights_are_in_several_files(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    assert list(file_hashes(tmp_path)) == ["model.safetensors.index.json"]
    (tmp_path / "model.safetensors").touch()
    assert file_hashes(tmp_path) == {}
