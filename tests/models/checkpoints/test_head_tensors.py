"""Heads that a checkpoint has, and those that are left out."""

import logging

import numpy as np
import pytest
import transformers
from flax.traverse_util import flatten_dict
from safetensors.numpy import load_file, save_file

import fsl_jax
from fsl_jax.errors import InputError

ANSWERING = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
ANSWERING |= {"intermediate_size": 48, "max_position_embeddings": 24}


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


def test_an_output_embedding_that_is_not_tied_must_be_there(directory):
    path, _ = directory("bert", "masked_lm", tie_word_embeddings=False)
    with pytest.raises(InputError, match=r"missing: cls\.predictions\.decoder\.weight"):
        fsl_jax.load(path, head="masked_lm")
    assert fsl_jax.load(path).head is None


@pytest.mark.parametrize("head", ["masked_lm", "sequence_classification"])
def test_a_head_that_was_not_asked_for_is_left_out(directory, head):
    path, _ = directory("bert", head, 3 if head == "sequence_classification" else 0)
    pretrained = fsl_jax.load(path)
    assert pretrained.head is None
    assert not pretrained.params.keys() & {"lm_head", "classifier"}


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


def test_a_decoder_keeps_its_language_model_where_it_is_named(directory, tokens):
    path, leaves = directory("llama-untied")
    named, usual = fsl_jax.load(path, head="causal_lm"), fsl_jax.load(path)
    assert flatten_dict(named.params, sep="/").keys() == leaves.keys()
    outputs = [each.apply(each.params, *tokens).logits for each in (named, usual)]
    np.testing.assert_array_equal(*outputs)
    classifier = fsl_jax.load(path, head="sequence_classification", num_labels=2)
    assert "unembedding" not in classifier.params


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
