import huggingface_hub
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.locate import locate


def test_paths_are_taken_as_they_are(tmp_path):
    file = tmp_path / "model.gguf"
    file.touch()
    assert locate(str(tmp_path)) == tmp_path
    assert locate(str(file)) == file


@pytest.mark.parametrize("name", ["no/such/model.gguf", "/no/such/directory", "./none"])
def test_a_path_that_is_not_there_is_an_error(name):
    with pytest.raises(InputError, match="no such file or directory"):
        locate(name)


def test_a_file_of_another_kind_is_an_error(tmp_path):
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(InputError, match="give the directory"):
        locate(str(path))


@pytest.mark.parametrize("name", ["minilm-l7", "org/model-that-nobody-made", "a/b/c"])
def test_a_name_that_cannot_be_fetched_says_what_was_tried(name):
    with pytest.raises(InputError, match=f"unknown model '{name}'.*minilm-l6, smollm2-135m"):
        locate(name)


def test_a_near_miss_names_what_was_meant():
    with pytest.raises(InputError, match="Did you mean 'smollm2-135m'"):
        locate("smollm-135m")


def test_the_hub_is_asked_for_what_is_read_and_nothing_else(monkeypatch, tmp_path):
    asked = {}

    def download(name, allow_patterns):
        asked.update(name=name, patterns=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate("org/model") == tmp_path
    assert asked["name"] == "org/model"
    assert "model*.safetensors" in asked["patterns"]
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in asked["patterns"])
