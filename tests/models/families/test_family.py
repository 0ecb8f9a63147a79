"""A family that is defined in this file alone works once it is in the registry."""

import dataclasses
import json
import types
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import fsl_jax
from fsl_jax.adapt import (
    LoRA,
    PromptTuning,
    attach,
    combine,
    load_peft,
    partition,
    save_peft,
)
from fsl_jax.adapt.files.vllm import reasons_to_merge
from fsl_jax.errors import InputError
from fsl_jax.models import export, generate
from fsl_jax.models.attention.attention import attend
from fsl_jax.models.blocks.classifiers import ClassifierStyle
from fsl_jax.models.blocks.decoder import Decoder
from fsl_jax.models.blocks.layers import Dense, Embedding, RMSNorm, learned_prefix
from fsl_jax.models.blocks.multi_head_config import MultiHeadConfig
from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.config import Config
from fsl_jax.models.families.family import Family
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.tensors.module_rules import dense_rules, embedding_rules, norm_rules
from fsl_jax.models.tensors.tensor_map import KEEP, TensorMap

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "mlp_size": 48,
    "num_layers": 2,
    "num_heads": 4,
    "max_length": 24,
}


@dataclasses.dataclass(frozen=True)
class ToyConfig(MultiHeadConfig):
    family: ClassVar[str] = "toy"
    is_decoder: ClassVar[bool] = True
    is_encoder_decoder: ClassVar[bool] = False
    tied: ClassVar[bool] = True


class ToyAttention(nn.Module):
    config: ToyConfig

    @nn.compact
    def __call__(self, x, mask, prefix):
        def split(name):
            y = Dense(self.config.hidden_size, use_bias=False, name=name)(x)
            return y.reshape(*x.shape[:2], self.config.num_heads, self.config.head_dim)

        query, keys, values = split("query"), split("key"), split("value")
        learned = learned_prefix(self, keys)
        attended = attend(query, keys, values, mask, prefix, learned=learned)
        return attended, (keys, values)


class ToyLayer(nn.Module):
    config: ToyConfig

    @nn.compact
    def __call__(self, x, mask, prefix, dropout):
        update, key_values = ToyAttention(self.config, name="attention")(x, mask, prefix)
        inner = Dense(self.config.mlp_size, use_bias=False, name="up")(x + update)
        down = Dense(self.config.hidden_size, use_bias=False, name="down")
        return x + dropout(down(jax.nn.relu(inner)), 0), key_values


class ToyEmbeddings(nn.Module):
    config: ToyConfig
    dtype: jnp.dtype

    def setup(self):
        self.word = Embedding(self.config.vocab_size, self.config.hidden_size, self.dtype)

    def __call__(self, input_ids, position_ids, dropout):
        return self.word(input_ids, position_ids.shape[1])


class Toy(Decoder):
    config: ToyConfig
    layer_type = ToyLayer
    drops_embeddings = False

    def setup(self):
        self.embeddings = ToyEmbeddings(self.config, self.dtype)
        self.final_norm = RMSNorm(1e-6)


def toy_config(source, values, tensors):
    reader = ConfigReader(source, values)
    sizes = {name: reader.integer(name) for name in SIZES}
    reader.finish()
    return ToyConfig(**sizes)


def toy_json(config):
    sizes = {name: getattr(config, name) for name in SIZES}
    return {"architectures": ["ToyForCausalLM"], "model_type": "toy", **sizes}


def toy_tensor_map(config):
    names = {name: f"layers/attention/{name}" for name in ("query", "key", "value")}
    names |= {name: f"layers/{name}" for name in ("up", "down")}
    dense = {f"toy.blocks.{{layer}}.{name}": path for name, path in names.items()}
    return TensorMap(
        rules=(
            *embedding_rules({"toy.words": "embeddings/word"}),
            *dense_rules(dense, KEEP, bias=False),
            *norm_rules({"toy.norm": "final_norm"}, bias=False),
        ),
        prefix="toy.",
    )


def toy_heads(config):
    score = {"score.inner": "classifier/dense", "score.outer": "classifier/output"}
    return {"sequence_classification": TensorMap(dense_rules(score))}


TOY = Family(
    module=Toy,
    config=toy_config,
    tensor_map=toy_tensor_map,
    json=toy_json,
    heads=toy_heads,
    classifier=ClassifierStyle(dense=True, bias=True),
    special_tokens={"eos_token": "37"},
)


@pytest.fixture
def toy_model(monkeypatch, build_tiny, word_tokenizer):
    """A model of the family, whose one trace in the code is an entry of the registry."""
    monkeypatch.setitem(FAMILIES, "toy", TOY)
    return build_tiny(ToyConfig(**SIZES), word_tokenizer)


@pytest.fixture
def toy_adapter(toy_model, tokens):
    """LoRA on the model after a step: parameters, gradients, and the losses around the step."""
    ids, mask = (jnp.asarray(array) for array in tokens)
    params, adapted = attach(
        toy_model.params,
        LoRA(rank=2),
        jax.random.key(0),
        lambda params: toy_model.apply(params, ids, mask).logits,
    )
    trainable, frozen = partition(params, adapted)

    def loss(trainable):
        logits = toy_model.apply(combine(trainable, frozen), ids, mask).logits
        log_probabilities = jax.nn.log_softmax(logits[:, :-1])
        chosen = jnp.take_along_axis(log_probabilities, ids[:, 1:, None], axis=-1)
        return -jnp.mean(chosen, where=mask[:, 1:, None])

    step = jax.jit(jax.value_and_grad(loss))
    before, gradients = step(trainable)
    trainable = jax.tree.map(lambda leaf, gradient: leaf - 0.1 * gradient, trainable, gradients)
    after, _ = step(trainable)
    return types.SimpleNamespace(
        params=combine(trainable, frozen), gradients=gradients, before=before, after=after
    )


def test_its_config_is_one_of_a_family(toy_model):
    assert isinstance(toy_model.config, Config)


def test_it_is_exported_and_loaded(toy_model, tokens, tmp_path):
    directory = export(toy_model, tmp_path / "toy")
    assert json.loads((directory / "config.json").read_text())["model_type"] == "toy"
    loaded = fsl_jax.load(str(directory))
    assert loaded.config == toy_model.config
    assert loaded.tokenizer.eos_token == "37"
    jax.tree.map(np.testing.assert_array_equal, loaded.params, toy_model.params)
    expected = toy_model.apply(toy_model.params, *tokens).logits
    np.testing.assert_array_equal(loaded.apply(loaded.params, *tokens).logits, expected)


def test_it_classifies_by_a_head_of_its_own(toy_model, tokens, tmp_path):
    directory = export(toy_model, tmp_path / "toy")
    options = {"head": "sequence_classification", "num_labels": 3}
    loaded = fsl_jax.load(str(directory), **options)
    assert loaded.params["classifier"]["dense"]["kernel"].shape == (32, 32)
    again = fsl_jax.load(str(export(loaded, tmp_path / "classifier")), head=options["head"])
    logits = again.apply(again.params, *tokens).logits
    assert logits.shape == (3, 3)
    np.testing.assert_array_equal(logits, loaded.apply(loaded.params, *tokens).logits)
    with pytest.raises(InputError, match="family toy has no head masked_lm"):
        fsl_jax.load(str(directory), head="masked_lm")


def test_it_writes(toy_model):
    found = generate(toy_model, ["1 2 3"], max_new_tokens=2)
    assert len(found) == 1


def test_it_is_adapted_and_trained(toy_adapter):
    gradients = flatten_dict(toy_adapter.gradients, sep="/")
    trained = {path for path, gradient in gradients.items() if gradient is not None}
    layers = ("attention/query", "attention/value")
    assert trained == {f"layers/{x}/lora_{part}" for x in layers for part in "ab"}
    assert all(bool(jnp.any(gradients[path] != 0)) for path in trained if path.endswith("_b"))
    assert toy_adapter.after < toy_adapter.before


def test_its_adapters_are_saved_and_loaded(toy_model, toy_adapter, tokens, tmp_path):
    save_peft(tmp_path / "adapter", toy_adapter.params, toy_model, LoRA(rank=2))
    found = load_peft(tmp_path / "adapter", toy_model)
    expected = toy_model.apply(toy_adapter.params, *tokens).logits
    np.testing.assert_allclose(toy_model.apply(found, *tokens).logits, expected, atol=1e-6)
    start = toy_model.apply(toy_model.params, *tokens).logits
    assert float(jnp.max(jnp.abs(expected - start))) > 1e-4


def test_peft_is_told_how_its_weights_lie(toy_model, toy_adapter, tmp_path):
    save_peft(tmp_path / "adapter", toy_adapter.params, toy_model, LoRA(rank=2))
    values = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert values["fan_in_fan_out"] is True
    assert values["task_type"] == "CAUSAL_LM"
    assert values["target_modules"] == ["query", "value"]


def test_it_reads_a_soft_prompt(toy_model, tokens):
    ids, mask = (jnp.asarray(array) for array in tokens)
    params, _ = attach(
        toy_model.params,
        PromptTuning(length=3),
        jax.random.key(0),
        lambda params: toy_model.apply(params, ids, mask).logits,
    )
    with_prompt = toy_model.apply(params, ids, mask).logits
    assert with_prompt.shape == (3, 7, 40)
    assert bool(jnp.any(with_prompt != toy_model.apply(toy_model.params, ids, mask).logits))


def test_vllm_serves_it_only_if_the_family_says_so(toy_model, monkeypatch):
    assert reasons_to_merge(LoRA(), toy_model.config, True) == [
        "vLLM has no adapters for the family toy"
    ]
    monkeypatch.setitem(FAMILIES, "toy", dataclasses.replace(TOY, vllm_adapters=True))
    assert reasons_to_merge(LoRA(), toy_model.config, True) == []
