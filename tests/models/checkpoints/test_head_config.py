"""The architectures and the classes that `config.json` names."""

import dataclasses
import json

import jax.numpy as jnp
import pytest
import transformers

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models import export
from fsl_jax.models.blocks.pooling import TextEnd
from fsl_jax.models.checkpoints.head_config import json_of, text_end

DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text")


@pytest.mark.parametrize(
    ("model", "head", "architecture"),
    [
        ("bert", "masked_lm", "BertForMaskedLM"),
        ("bert", "mean_features", "BertModel"),
        ("llama", "sequence_classification", "LlamaForSequenceClassification"),
        ("llama", None, "LlamaForCausalLM"),
    ],
)
def test_a_config_names_the_architecture_with_the_head(tiny_models, model, head, architecture):
    values = json_of(tiny_models[model].config, head)
    assert values["architectures"] == [architecture]


def test_a_config_names_as_many_labels_as_there_are(tiny_models):
    values = json_of(tiny_models["bert"].config, "token_classification", ("no", "yes"))
    assert values["id2label"] == {"0": "no", "1": "yes"}
    assert values["label2id"] == {"no": 0, "yes": 1}
    assert "id2label" not in json_of(tiny_models["bert"].config, "masked_lm")


def test_the_names_of_classes_are_kept(directory, tmp_path):
    names = {"0": "bad", "1": "good", "2": "so-so"}
    path, _ = directory("bert", "sequence_classification", 3, id2label=names)
    pretrained = fsl_jax.load(path, head="sequence_classification")
    assert pretrained.labels == ("bad", "good", "so-so")
    values = json.loads((export(pretrained, tmp_path / "out") / "config.json").read_text())
    assert values["id2label"] == names
    assert values["label2id"] == {"bad": 0, "good": 1, "so-so": 2}
    assert fsl_jax.load(path).labels == ()


def test_classes_without_names_are_numbered(directory):
    path, _ = directory("bert")
    drawn = fsl_jax.load(path, head="token_classification", num_labels=2)
    assert drawn.labels == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize("names", [{"0": "bad", "1": "good"}, {"1": "a", "2": "b", "3": "c"}, 7])
def test_names_of_other_classes_are_an_error(directory, names):
    path, _ = directory("bert", "sequence_classification", 3, id2label=names)
    with pytest.raises(InputError, match=r"config\.json: id2label is .* the head has 3 classes"):
        fsl_jax.load(path, head="sequence_classification")


def test_parameters_with_other_classes_are_not_exported_under_the_names(directory, tmp_path):
    path, _ = directory("bert", "sequence_classification", 3)
    pretrained = fsl_jax.load(path, head="sequence_classification")
    params = pretrained.params | {
        "classifier": {"output": {"kernel": jnp.zeros((32, 2)), "bias": jnp.zeros(2)}}
    }
    with pytest.raises(InputError, match=r"kernel is \[32, 2\], expected \[32, 3\]"):
        export(pretrained, tmp_path / "out", params=params)


def test_architectures_are_named_as_transformers_names_them(tiny_models):
    """It has none that classifies tokens by Gemma 3; ours is named as its others are."""
    kinds = ("sequence_classification", "token_classification", "mean_features", None)
    llama = tiny_models["llama"].config
    families = {name: dataclasses.replace(llama, family=name) for name in DECODERS}
    configs = {**families, "bert": tiny_models["bert"].config}
    named = {
        json_of(config, kind)["architectures"][0] for config in configs.values() for kind in kinds
    }
    absent = {name for name in named if not hasattr(transformers, name)}
    assert absent == {"Gemma3TextForTokenClassification"}
    assert {"Qwen2Model", "Gemma3TextModel", "Gemma3TextForSequenceClassification"} < named


@pytest.mark.parametrize(
    ("family", "values", "expected"),
    [
        ("llama", {}, TextEnd()),
        ("llama", {"pad_token_id": None}, TextEnd()),
        ("llama", {"pad_token_id": 0, "eos_token_id": 0}, TextEnd(padding=0)),
        ("gemma2", {}, TextEnd(padding=0)),
        ("gemma2", {"pad_token_id": None}, TextEnd()),
        ("t5", {"pad_token_id": 0}, TextEnd(end=1)),
        ("t5", {"eos_token_id": 7}, TextEnd(end=7)),
        ("bert", {"pad_token_id": 0}, TextEnd()),
    ],
)
def test_the_end_of_a_text_is_that_of_transformers(tiny_bases, family, values, expected):
    config = tiny_bases[family].config
    assert text_end("config.json", values, config, "sequence_classification") == expected
    assert text_end("config.json", values, config, "token_classification") == TextEnd()


@pytest.mark.parametrize("value", ["0", True, 1.5, [0], 2**40])
def test_a_padding_token_that_is_no_token_is_refused(tiny_bases, value):
    config, values = tiny_bases["llama"].config, {"pad_token_id": value}
    with pytest.raises(InputError, match=r"config\.json: pad_token_id is .* expected a token id"):
        text_end("config.json", values, config, "sequence_classification")
