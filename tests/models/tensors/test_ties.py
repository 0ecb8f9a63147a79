"""Tied tensors: which names they have, and which of their numbers count."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from fsl_jax.errors import InputError
from fsl_jax.models.tensors.safetensors_files import open_tensors
from fsl_jax.models.tensors.ties import Tie, Ties, without_copies

ONE, OTHER = np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((3, 2), np.float32)
TIES = Ties((Tie("head.weight", "words.weight"), Tie("head.bias", "bias")), prefix="model.")
INPUTS = Ties(
    (
        Tie("encoder.weight", "shared.weight", may_differ=False),
        Tie("decoder.weight", "shared.weight", may_differ=False),
        Tie("head.weight", "shared.weight"),
    ),
    always=True,
)


@pytest.fixture
def resolved(tmp_path):
    """Saves tensors, and returns them as they are after their ties."""

    def resolve(ties, tied=True, **tensors):
        named = {name.replace("_", "."): tensor for name, tensor in tensors.items()}
        save_file(named, tmp_path / "model.safetensors")
        stored = open_tensors([tmp_path / "model.safetensors"])
        found = without_copies("somewhere", stored, ties, tied)
        return {name: tensor.load().tolist() for name, tensor in found.items()}

    return resolve


@pytest.mark.parametrize("prefix", ["", "model_"])
def test_a_tied_tensor_may_be_stored_under_either_name_or_both(resolved, prefix):
    found = resolved(TIES, **{f"{prefix}words_weight": ONE})
    assert list(found.values()) == [ONE.tolist()]
    assert next(iter(found)).removeprefix("model.") == "words.weight"
    assert resolved(TIES, **{f"{prefix}head_weight": ONE}) == {"words.weight": ONE.tolist()}
    both = resolved(TIES, **{f"{prefix}words_weight": ONE, "head_weight": ONE})
    assert both == found


def test_numbers_that_differ_are_not_tied(resolved):
    expected = {"words.weight": ONE.tolist(), "head.weight": OTHER.tolist()}
    assert resolved(TIES, words_weight=ONE, model_head_weight=OTHER) == expected


def test_nothing_is_tied_without_the_flag(resolved):
    expected = {"words.weight": ONE.tolist(), "head.weight": ONE.tolist()}
    assert resolved(TIES, tied=False, words_weight=ONE, head_weight=ONE) == expected
    assert resolved(TIES, tied=False, head_weight=ONE) == {"head.weight": ONE.tolist()}


@pytest.mark.parametrize(
    ("tied", "stored", "read"),
    [
        (True, {"bias": ONE}, ONE),
        (True, {"head_bias": OTHER}, OTHER),
        (True, {"bias": ONE, "head_bias": OTHER}, OTHER),
        (False, {"bias": ONE, "head_bias": OTHER}, OTHER),
    ],
)
def test_a_bias_has_both_names_and_the_numbers_of_the_one_that_is_read(
    resolved, tied, stored, read
):
    assert resolved(TIES, tied, **stored) == {"bias": read.tolist(), "head.bias": read.tolist()}


def test_a_bias_that_is_not_read_is_not_taken_for_the_other(resolved):
    assert resolved(TIES, tied=False, bias=ONE) == {"bias": ONE.tolist()}


@pytest.mark.parametrize("name", ["encoder_weight", "decoder_weight", "head_weight"])
def test_several_copies_of_one_source_are_found_under_any_name(resolved, name):
    shared = {"shared.weight": ONE.tolist()}
    assert resolved(INPUTS, tied=False, **{name: ONE}) == shared
    assert resolved(INPUTS, **{name: ONE, "decoder_weight": ONE}) == shared
    untied = resolved(INPUTS, decoder_weight=ONE, head_weight=OTHER)
    assert untied == {**shared, "head.weight": OTHER.tolist()}


def test_a_copy_without_a_leaf_must_be_equal(resolved):
    with pytest.raises(InputError, match=r"decoder\.weight differs from shared\.weight"):
        resolved(INPUTS, shared_weight=ONE, encoder_weight=ONE, decoder_weight=OTHER)
