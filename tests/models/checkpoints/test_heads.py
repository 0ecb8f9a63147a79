import dataclasses
import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models import export
from fsl_jax.models.checkpoints.heads import (
    json_of,
    known_heads,
    require_head,
    require_special_tokens,
    shapes_of,
    tensor_map_of,
)
from fsl_jax.models.tensors.tensor_map import write_tensors
from fsl_jax.sharding import make_mesh

DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text")


@pytest.fixture
def directory(tmp_path, tiny_models, special_tokenizer):
    """Saves a tiny model with a random head, or without one; returns where, and its leaves."""

    def make(model, head=None, labels=0, **values):
        config = tiny_models[model].config
        draw = np.random.default_rng(0).standard_normal
        shapes = shapes_of(config, head, labels)
        leaves = {path: draw(shape).astype(np.float32) for path, shape in shapes.items()}
        tensors = dict(write_tensors(leaves, tensor_map_of(config, head)))
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        special_tokenizer.save_pretrained(tmp_path)
        save_file(tensors, tmp_path / "model.safetensors")
        names = [f"LABEL_{number}" for number in range(labels)]
        values = json_of(config, head, names) | values
        (tmp_path / "config.json").write_text(json.dumps(values))
        return str(tmp_path), leaves

    return make


@pytest.mark.parametrize(
    ("model", "head", "labels"),
    [
        ("bert", "masked_lm", 0),
        ("bert", "sequence_classification", 3),
        ("llama-untied", "token_classification", 2),
    ],
)
def test_a_head_that_the_checkpoint_has_is_loaded(directory, model, head, labels, caplog):
    path, leaves = directory(model, head, labels)
    pretrained = fsl_jax.load(path, head=head)
    found = flatten_dict(pretrained.params, sep="/")
    assert found.keys() == leaves.keys()
    for name, leaf in leaves.items():
        np.testing.assert_array_equal(found[name], leaf)
    assert pretrained.head == head
    assert not caplog.records


def test_a_masked_language_model_that_is_not_tied_is_refused(directory):
    path, _ = directory("bert", "masked_lm", tie_word_embeddings=False)
    with pytest.raises(InputError, match="tie_word_embeddings is false"):
        fsl_jax.load(path, head="masked_lm")
    assert fsl_jax.load(path).head is None


@pytest.mark.parametrize("head", ["masked_lm", "sequence_classification"])
def test_a_head_that_was_not_asked_for_is_left_out(directory, head):
    path, _ = directory("bert", head, 3 if head == "sequence_classification" else 0)
    pretrained = fsl_jax.load(path)
    assert pretrained.head is None
    assert not pretrained.params.keys() & {"lm_head", "classifier"}


def test_a_head_that_the_checkpoint_lacks_is_drawn_and_said_so(directory, caplog):
    path, leaves = directory("bert")

    def load(**options):
        options = {"head": "sequence_classification", "num_labels": 3} | options
        return flatten_dict(fsl_jax.load(path, **options).params, sep="/")

    with caplog.at_level(logging.WARNING, logger="absl"):
        found = load()
    (record,) = caplog.records
    for name in ("no head sequence_classification", "classifier/output/kernel", "pooler/bias"):
        assert name in record.getMessage()
    for name, leaf in leaves.items():
        np.testing.assert_array_equal(found[name], leaf)
    drawn = found["pooler/kernel"]
    assert found["classifier/output/kernel"].shape == (32, 3)
    assert 0.8 < float(jnp.std(drawn)) / 0.02 < 1.2
    np.testing.assert_array_equal(found["classifier/output/bias"], np.zeros(3))
    np.testing.assert_array_equal(load(key=jax.random.key(0))["pooler/kernel"], drawn)
    assert jnp.any(load(key=jax.random.key(1))["pooler/kernel"] != drawn)


def test_the_head_of_another_task_is_not_taken_for_it(directory):
    """BERT's classifiers of texts and of tokens have tensors of the same names."""
    path, leaves = directory("bert", "token_classification", 3)
    pretrained = fsl_jax.load(path, head="sequence_classification", num_labels=2)
    kernel = pretrained.params["classifier"]["output"]["kernel"]
    assert kernel.shape == (32, 2)
    assert leaves["classifier/output/kernel"].shape == (32, 3)


def test_without_an_architecture_the_tensors_tell(directory):
    path, leaves = directory("bert", "masked_lm", architectures=None)
    found = fsl_jax.load(path, head="masked_lm").params["lm_head"]["bias"]
    np.testing.assert_array_equal(found, leaves["lm_head/bias"])


def test_a_head_of_which_a_part_is_missing_is_an_error(directory, tmp_path):
    path, _ = directory("bert", "masked_lm")
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["cls.predictions.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"missing: cls\.predictions\.bias"):
        fsl_jax.load(path, head="masked_lm")


def test_as_many_classes_as_the_checkpoint_has(directory):
    path, _ = directory("llama", "sequence_classification", 3)
    head = "sequence_classification"
    same = fsl_jax.load(path, head=head, num_labels=3)
    assert same.params["classifier"]["output"]["kernel"].shape == (32, 3)
    with pytest.raises(InputError, match="has 3 classes, and num_labels=2"):
        fsl_jax.load(path, head=head, num_labels=2)


def test_somebody_has_to_say_how_many_classes_there_are(directory):
    path, _ = directory("bert")
    with pytest.raises(InputError, match="Say how many classes it is to have, with num_labels"):
        fsl_jax.load(path, head="token_classification")


def test_a_decoder_keeps_its_language_model_where_it_is_named(directory, tokens):
    path, leaves = directory("llama-untied")
    named, usual = fsl_jax.load(path, head="causal_lm"), fsl_jax.load(path)
    assert flatten_dict(named.params, sep="/").keys() == leaves.keys()
    outputs = [each.apply(each.params, *tokens).logits for each in (named, usual)]
    np.testing.assert_array_equal(*outputs)
    classifier = fsl_jax.load(path, head="sequence_classification", num_labels=2)
    assert "unembedding" not in classifier.params


@pytest.mark.parametrize(
    ("head", "labels", "message"),
    [
        ("masked_ml", None, r"unknown head 'masked_ml'\. Did you mean 'masked_lm'"),
        ("causal_lm", None, "family bert has no head causal_lm. It can have: masked_lm"),
        ("masked_lm", 2, "head masked_lm, which has no classes"),
        ("token_classification", 0, "expected 1 or more classes"),
    ],
)
def test_what_is_asked_for_has_to_be_possible(tiny_bert, head, labels, message):
    with pytest.raises(InputError, match=message):
        require_head("tiny", tiny_bert.config, head, labels)


@pytest.mark.parametrize(
    ("model", "head", "token"),
    [
        ("bert", "masked_lm", "mask_token"),
        ("bert", "sequence_classification", "cls_token"),
        ("llama", "cls_features", "cls_token"),
    ],
)
def test_a_head_needs_its_special_tokens(
    tiny_models, word_tokenizer, special_tokenizer, model, head, token
):
    config = tiny_models[model].config
    require_special_tokens("tiny", config, head, special_tokenizer)
    with pytest.raises(InputError, match=f"the head {head} needs a tokenizer with a {token}"):
        require_special_tokens("tiny", config, head, word_tokenizer)


def test_a_decoders_classes_need_no_special_token(tiny_models, word_tokenizer):
    config = tiny_models["llama"].config
    require_special_tokens("tiny", config, "sequence_classification", word_tokenizer)


def test_each_kind_of_model_has_its_heads(tiny_models):
    shared = ("sequence_classification", "token_classification", "mean_features", "cls_features")
    assert known_heads(tiny_models["bert"].config) == ("masked_lm", *shared)
    assert known_heads(tiny_models["llama"].config) == ("causal_lm", *shared)


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


ANSWERING = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
ANSWERING |= {"intermediate_size": 48, "max_position_embeddings": 24}


@pytest.mark.parametrize("stem", ["Bert", "Llama"])
def test_a_head_that_answers_questions_is_left_out_and_said_so(
    special_tokenizer, tmp_path, stem, caplog
):
    kind = getattr(transformers, f"{stem}ForQuestionAnswering")
    model = kind(kind.config_class(**ANSWERING))
    model.save_pretrained(tmp_path)
    special_tokenizer.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING, logger="absl"):
        params = fsl_jax.load(str(tmp_path), head="mean_features").params
    (record,) = caplog.records
    assert "It is left out: qa_outputs.bias, qa_outputs.weight" in record.getMessage()
    weight = model.get_input_embeddings().weight.numpy(force=True)
    np.testing.assert_array_equal(params["embeddings"]["word"]["embedding"], weight)


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


def test_a_head_is_laid_out_on_a_mesh_too(directory):
    path, _ = directory("bert")
    mesh = make_mesh(batch=2, model=4)
    pretrained = fsl_jax.load(path, head="sequence_classification", num_labels=3, mesh=mesh)
    leaves = jax.tree.leaves(pretrained.params)
    assert all(len(leaf.devices()) == 8 for leaf in leaves)
    assert pretrained.params["classifier"]["output"]["kernel"].shape == (32, 3)
