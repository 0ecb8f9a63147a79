"""A whole tree goes into a directory and comes back."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fsl_jax.adapt import BitFit, LoRA, PromptTuning, attach, load_peft, save_peft
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from tests.plugins.adapter_records import list_again

SUFFIX_MASK = "embeddings/word/suffix_mask"


@pytest.mark.parametrize(("method", "kind"), [(LoRA(2), "LORA"), (BitFit(), "FSL_JAX_BITFIT")])
def test_a_tree_comes_back_as_it_was(tiny_bases, tmp_path, method, kind):
    base = tiny_bases["bert"]
    params, mask = attach(base.params, method, jax.random.key(0))
    moved = jax.tree.map(lambda leaf, trained: leaf + 1 if trained else leaf, params, mask)
    save_peft(tmp_path / "adapter", moved, base, method)
    assert json.loads((tmp_path / "adapter/adapter_config.json").read_text())["peft_type"] == kind
    loaded, expected = flatten(load_peft(tmp_path / "adapter", base)), flatten(moved)
    assert loaded.keys() == expected.keys()
    for path, leaf in loaded.items():
        np.testing.assert_array_equal(leaf, expected[path], path)


def test_a_head_comes_back_too(tiny_bases, tmp_path):
    base = tiny_bases["bert"]
    head = {"kernel": np.full((16, 3), 2.0, np.float32), "bias": np.ones(3, np.float32)}
    params, _ = attach(base.params | {"head": head}, LoRA(2), jax.random.key(0))
    save_peft(tmp_path / "adapter", params, base, LoRA(2))
    loaded = load_peft(tmp_path / "adapter", base)["head"]
    np.testing.assert_array_equal(loaded["kernel"], head["kernel"])
    np.testing.assert_array_equal(loaded["bias"], head["bias"])


@pytest.mark.parametrize(
    ("method", "smuggled", "named"),
    [
        (LoRA(2), "base_model.model.embeddings.word_embeddings.weight", "word_embeddings"),
        (BitFit(), "embeddings/word/embedding", "not known: embeddings/word/embedding"),
        (PromptTuning(2, position="suffix"), SUFFIX_MASK, f"not known: {SUFFIX_MASK}"),
    ],
)
def test_what_a_method_does_not_save_is_refused(tiny_bases, tmp_path, method, smuggled, named):
    base = tiny_bases["llama" if isinstance(method, PromptTuning) else "bert"]
    params, _ = attach(base.params, method, jax.random.key(0))
    save_peft(tmp_path / "adapter", params, base, method)
    file = tmp_path / "adapter/adapter_model.safetensors"
    save_file(load_file(file) | {smuggled: np.zeros((2, 16), np.float32)}, file)
    list_again(tmp_path / "adapter", file.name)
    with pytest.raises(InputError, match=named):
        load_peft(tmp_path / "adapter", base)


def test_a_tree_that_lacks_the_methods_leaves_is_an_error(tiny_bases, tmp_path):
    base = tiny_bases["bert"]
    with pytest.raises(InputError, match="lora_"):
        save_peft(tmp_path / "adapter", base.params, base, LoRA(2))
    assert not (tmp_path / "adapter").exists()


def test_a_kind_that_is_not_known_names_the_known_ones(tiny_bases, tmp_path):
    base = tiny_bases["bert"]
    params, _ = attach(base.params, LoRA(2), jax.random.key(0))
    save_peft(tmp_path / "adapter", params, base, LoRA(2))
    (tmp_path / "adapter/fsl_jax.json").unlink()
    config = tmp_path / "adapter/adapter_config.json"
    config.write_text(config.read_text().replace('"LORA"', '"LOKR"'))
    with pytest.raises(InputError, match=r"LOKR.*LORA") as error:
        load_peft(tmp_path / "adapter", base)
    assert str(error.value).count("PREFIX_TUNING") == 1
