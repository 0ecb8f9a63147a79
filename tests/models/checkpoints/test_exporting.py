"""Exported models are loaded by transformers, and give the same logits."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from flax.traverse_util import flatten_dict

import fsl_jax
from fsl_jax.adapt import LoRA, TopLayers
from fsl_jax.errors import InputError
from fsl_jax.models import export

TOKENS = np.array([[2, 3, 4, 5, 6], [7, 8, 9, 0, 0]], np.int32)
MASK = TOKENS > 0


def output(pretrained):
    found = jax.jit(pretrained.apply)(pretrained.params, TOKENS, MASK)
    return found.hidden if found.logits is None else found.logits


def transformers_output(directory, kind):
    model = kind.from_pretrained(directory).eval()
    with torch.no_grad():
        found = model(torch.tensor(TOKENS), torch.tensor(MASK), return_dict=True)
    return (found.logits if "logits" in found else found.last_hidden_state).numpy()


@pytest.mark.parametrize("name", ["bert", "llama", "llama-untied"])
def test_transformers_loads_it_and_so_do_we(tiny_models, name, tmp_path):
    tiny = tiny_models[name]
    directory = export(tiny, tmp_path / "out")
    kinds = {True: transformers.AutoModelForCausalLM, False: transformers.AutoModel}
    found = transformers_output(directory, kinds[tiny.config.is_decoder])
    expected = np.asarray(output(tiny))
    difference = np.abs(found - expected)[MASK].max()
    assert difference < 1e-5 * np.abs(expected).max()
    again = fsl_jax.load(str(directory))
    assert again.config == tiny.config
    jax.tree.map(np.testing.assert_array_equal, again.params, tiny.params)


def test_many_weights_go_into_several_files(tiny_models, tmp_path):
    directory = export(tiny_models["llama"], tmp_path / "out", shard_bytes=20_000)
    index = json.loads((directory / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in directory.glob("model-*.safetensors"))
    assert len(files) > 2
    assert sorted(set(index["weight_map"].values())) == files
    again = fsl_jax.load(str(directory))
    jax.tree.map(np.testing.assert_array_equal, again.params, tiny_models["llama"].params)


def test_layers_that_were_cut_are_joined(tiny_models, tmp_path):
    tiny = tiny_models["llama"]
    cut = TopLayers(1).extend(tiny.params, jax.random.key(0))
    again = fsl_jax.load(str(export(tiny, tmp_path / "out", params=cut)))
    jax.tree.map(np.testing.assert_array_equal, again.params, tiny.params)


def test_bfloat16_stays_bfloat16(tiny_models, tmp_path):
    tiny = tiny_models["bert"]
    halved = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), tiny.params)
    directory = export(tiny, tmp_path / "out", params=halved)
    assert json.loads((directory / "config.json").read_text())["dtype"] == "bfloat16"
    again = fsl_jax.load(str(directory), dtype=jnp.bfloat16)
    jax.tree.map(np.testing.assert_array_equal, again.params, halved)


def test_every_token_that_ends_a_text_is_written(tiny_models, tmp_path):
    tiny = dataclasses.replace(tiny_models["llama"], end_tokens=(5, 7))
    assert fsl_jax.load(str(export(tiny, tmp_path / "out"))).end_tokens == (5, 7)


def test_leaves_that_have_no_place_are_listed(tiny_models, tmp_path):
    tiny = tiny_models["llama"]
    extended = LoRA(2).extend(tiny.params, jax.random.key(0))
    del extended["final_norm"]
    with pytest.raises(InputError) as raised:
        export(tiny, tmp_path / "out", params=extended)
    for path in flatten_dict(extended, sep="/"):
        if "lora" in path:
            assert f"not the model's: {path}" in str(raised.value)
    assert "missing: final_norm/scale" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_there_is_replaced(tiny_models, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="Choose a directory"):
        export(tiny_models["bert"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_save_that_fails_leaves_nothing(tiny_models, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(type(tiny_models["bert"].tokenizer), "save_pretrained", fail)
    with pytest.raises(OSError, match="No space"):
        export(tiny_models["bert"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
