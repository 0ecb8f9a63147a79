"""LoRA in both stacks of an encoder-decoder: alone, stacked and in PEFT's files.

What stands before its tokens is in `test_before_encoder_decoder.py`.
"""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers

from fsl_jax.adapt import IA3, BitFit, LNTuning, LoRA, TopLayers, attach, combine, merge, partition
from fsl_jax.adapt.files.adapter_files import load_adapter, save_adapter
from fsl_jax.adapt.files.adapter_layout import CONFIG
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models import export
from fsl_jax.models.families.t5.checkpoint import t5_json, t5_tensor_map
from fsl_jax.models.loading import load
from fsl_jax.models.tensors.writing import write_tensors

KEY = jax.random.key(0)
IDS = np.arange(12, dtype=np.int32).reshape(2, 6)
MASK = np.array([[True] * 6, [True] * 4 + [False] * 2])
DECODER_IDS = np.arange(20, 30, dtype=np.int32).reshape(2, 5)
TARGETS = ["decoder/layers/attention", "decoder/layers/cross_attention", "encoder/layers/attention"]


@pytest.fixture
def t5(tiny):
    return tiny("t5")


@functools.cache
def logits_of(pretrained):
    """A function from parameters to logits, compiled once."""

    def run(params):
        return pretrained.apply(params, IDS, MASK, decoder_input_ids=DECODER_IDS).logits

    return jax.jit(run)


@pytest.fixture(scope="module")
def lora(tiny):
    """Parameters with LoRA's leaves, drawn so that they do something, and their mask."""
    base = tiny("t5")
    params, mask = attach(base.params, LoRA(rank=2), KEY, logits_of(base))
    random = np.random.default_rng(1)
    leaves = {
        path: jnp.asarray(random.normal(size=leaf.shape, scale=0.3), jnp.float32)
        if path.endswith("/lora_b")
        else leaf
        for path, leaf in flatten(params).items()
    }
    return unflatten(leaves), mask


def test_query_and_value_of_all_attentions_are_adapted(lora):
    chosen = {path for path, trained in flatten(lora[1]).items() if trained}
    assert chosen == {
        f"{attention}/{name}/lora_{part}"
        for attention in TARGETS
        for name in ("query", "value")
        for part in "ab"
    }


def test_the_model_starts_as_it_was(t5):
    params, _ = attach(t5.params, LoRA(rank=2), KEY)
    found, expected = logits_of(t5)(params), logits_of(t5)(t5.params)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_every_layer_gets_a_gradient_and_nothing_frozen_does(t5, lora):
    trainable, frozen = partition(*lora)

    def loss(trainable, frozen):
        logits = logits_of(t5)(combine(trainable, frozen))
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - logits[..., 3])

    gradient = flatten(jax.jit(jax.grad(loss))(trainable, frozen))
    given = {path: leaf for path, leaf in gradient.items() if leaf is not None}
    assert given.keys() == {path for path, trained in flatten(lora[1]).items() if trained}
    for path, leaf in given.items():
        assert np.all(np.abs(np.asarray(leaf)).max(axis=(1, 2)) > 0), path


def test_stacked_runs_give_what_each_gives_alone(t5, lora):
    trainable, frozen = partition(*lora)
    runs = jax.tree.map(lambda leaf: jnp.stack([leaf, -0.5 * leaf]), trainable)
    stacked = jax.jit(
        jax.vmap(lambda run, base: logits_of(t5)(combine(run, base)), in_axes=(0, None))
    )(runs, frozen)
    for number in range(2):
        run = jax.tree.map(lambda leaf, number=number: leaf[number], runs)
        alone = logits_of(t5)(combine(run, frozen))
        np.testing.assert_allclose(stacked[number], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [1, 3])
def test_the_decoder_is_cut_at_the_top(tiny_bases, k, tmp_path):
    t5 = tiny_bases["t5"]
    params, mask = attach(t5.params, TopLayers(k), KEY, logits_of(t5))
    np.testing.assert_allclose(
        logits_of(t5)(params), logits_of(t5)(t5.params), rtol=1e-5, atol=1e-5
    )
    for path, chosen in flatten(mask).items():
        assert chosen == path.startswith(("decoder/top_layers/", "decoder/final_norm/")), path
    moved = jax.tree.map(lambda leaf, chosen: leaf + 0.1 if chosen else leaf, params, mask)
    again = load(str(export(t5, tmp_path / "whole", params=merge(moved, t5))))
    found, expected = logits_of(again)(again.params), logits_of(t5)(moved)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(expected, logits_of(t5)(t5.params), atol=1e-2)


def test_the_top_layers_of_an_encoder_alone_are_not_a_decoders(t5):
    params = {name: part for name, part in t5.params.items() if name != "decoder"}
    with pytest.raises(InputError, match="without its decoder: load it without a head"):
        attach(params, TopLayers(1), KEY)


def test_there_are_no_biases_to_train(t5):
    with pytest.raises(InputError, match="nothing to train"):
        attach(t5.params, BitFit(), KEY)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
@pytest.mark.filterwarnings("ignore:Unsupported layer type:UserWarning")
@pytest.mark.parametrize(
    ("method", "modules"),
    [
        (LoRA(2, 3.0, "attention/(query|value)$"), ["q", "v"]),
        (IA3(), ["k", "v", "wo"]),
        (LNTuning(), ["final_layer_norm", "layer_norm"]),
        (
            LoRA(2, 3.0, "^encoder/.*/(query|up)$|cross_attention/key$"),
            [
                "1.DenseReluDense.wi",
                "EncDecAttention.k",
                # The decoder has a layer of the same name but for its beginning.
                "encoder.block.0.layer.0.SelfAttention.q",
                "encoder.block.1.layer.0.SelfAttention.q",
            ],
        ),
    ],
)
def test_peft_loads_what_was_saved_and_computes_the_same(t5, tmp_path, method, modules):
    params, mask = attach(t5.params, method, KEY)
    random = np.random.default_rng(1)
    leaves = {
        path: random.normal(size=leaf.shape, scale=0.3).astype(np.float32)
        for path, leaf in flatten(params).items()
        if flatten(mask)[path]
    }
    save_adapter(tmp_path / "adapter", unflatten(leaves), method, t5, {})
    written = json.loads((tmp_path / "adapter" / CONFIG).read_text())
    assert (written["target_modules"], written["task_type"]) == (modules, "SEQ_2_SEQ_LM")
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**t5_json(t5.config)))
    tensors = write_tensors(flatten(t5.params), t5_tensor_map(t5.config))
    state = {name: torch.tensor(np.asarray(tensor)) for name, tensor in tensors}
    model.load_state_dict(state, strict=False)
    model.tie_weights()
    adapted = peft.PeftModel.from_pretrained(model.eval(), str(tmp_path / "adapter"))
    inputs = {
        "input_ids": IDS,
        "attention_mask": MASK,
        "decoder_input_ids": DECODER_IDS,
        "decoder_attention_mask": np.ones_like(DECODER_IDS),
    }
    with torch.no_grad():
        expected = adapted(**{k: torch.tensor(v).long() for k, v in inputs.items()}).logits.numpy()
    found = np.asarray(logits_of(t5)(load_adapter(tmp_path / "adapter", t5).params))
    base = np.asarray(logits_of(t5)(t5.params))
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(base - expected).max() > 1e-2 * np.abs(expected).max()
