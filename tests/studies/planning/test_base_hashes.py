import dataclasses

import pytest
from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.files import sha256
from fsl_jax.studies.planning.base_hashes import (
    base_problems,
    describe_base,
    read_base_hashes,
    require_same_files,
)

OUT = epath.Path("out")


@pytest.fixture
def base(tmp_path):
    """A directory with the names of a model's files."""
    for name in ("model.safetensors", "config.json", "tokenizer.json", "README.md"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_files_are_hashed_without_loading_them(base):
    hashes = read_base_hashes(str(base))
    assert list(hashes) == ["the weights", "config.json", "tokenizer.json"]
    assert hashes["the weights"] == sha256(base / "model.safetensors")
    assert read_base_hashes(str(base / "config.json")) == {
        "the weights": sha256(base / "config.json")
    }


def test_a_loaded_model_has_the_same_hashes(tiny_bases):
    model = dataclasses.replace(tiny_bases["bert"], sha256="a", file_hashes={"config.json": "b"})
    assert describe_base(model) == {"the weights": "a", "config.json": "b"}


@pytest.mark.parametrize("name", ["org/model", "/no/such/directory", ""])
def test_models_that_are_not_here_have_none(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_base_hashes(name) is None


def test_every_file_that_changed_came_or_went_is_named(base):
    models = {str(base): read_base_hashes(str(base))}
    require_same_files(OUT, models, [str(base)])
    (base / "model.safetensors").write_text("other")
    (base / "config.json").write_text("other")
    (base / "tokenizer.json").unlink()
    (base / "special_tokens_map.json").write_text("new")
    with pytest.raises(InputError) as refused:
        require_same_files(OUT, models, [str(base)])
    first, *problems = str(refused.value).splitlines()
    assert "out holds a study of base models that have changed" in first
    assert "Put their files back, or give another --output" in first
    for name in ("the weights", "config.json", "tokenizer.json", "special_tokens_map.json"):
        assert any(f"{base}: {name} had the SHA-256" in problem for problem in problems)
    assert len(problems) == 4


def test_a_model_that_is_gone_is_not_checked(base):
    require_same_files(OUT, {"gone": {"the weights": "0"}}, ["gone"])


def test_a_model_that_the_plan_lacks_is_a_problem():
    assert len(base_problems("a", {}, {"the weights": "0"})) == 1
