"""The base model that an adapter names, and whom to trust with it."""

import json

import pytest

from fsl_jax.adapt.files.base_of_adapter import base_name
from fsl_jax.errors import InputError


@pytest.fixture
def named(tmp_path):
    """Writes an adapter of PEFT's that names a base model."""

    def write(name):
        directory = tmp_path / "adapter"
        directory.mkdir(exist_ok=True)
        values = {"peft_type": "LORA", "base_model_name_or_path": name}
        (directory / "adapter_config.json").write_text(json.dumps(values))
        return directory

    return write


@pytest.mark.parametrize(
    "name", ["someone/model", "gpt2", "../absent", "/dev/null", "~no-such-user/x"]
)
def test_what_would_be_fetched_is_asked_for_first(named, name):
    with pytest.raises(InputError, match=r"names the base model .*--model .*--trust_base"):
        base_name(named(name))
    assert base_name(named(name), trust_base=True) == name


def test_what_is_embedded_or_on_this_machine_is_read(named, tmp_path):
    assert base_name(named("minilm-l6")) == "minilm-l6"
    (tmp_path / "base").mkdir()
    (tmp_path / "model.gguf").touch()
    for path in (tmp_path / "base", tmp_path / "model.gguf"):
        assert base_name(named(str(path))) == str(path)


@pytest.mark.parametrize("name", [None, "", 3, ["minilm-l6"]])
def test_a_base_without_a_name_is_an_error(named, name):
    with pytest.raises(InputError, match="names no base model"):
        base_name(named(name), trust_base=True)


def test_the_name_in_a_record_counts(bert, save_moved, tmp_path):
    save_moved(tmp_path / "adapter", bert, "lora(2)")
    with pytest.raises(InputError, match="'tiny-bert', which would be fetched"):
        base_name(tmp_path / "adapter")
    assert base_name(tmp_path / "adapter", trust_base=True) == "tiny-bert"


def test_a_directory_without_an_adapter_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"there is no adapter_config.json"):
        base_name(tmp_path)
