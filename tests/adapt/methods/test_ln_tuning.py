"""LN tuning: which leaves it trains, and what it refuses."""

import jax
import pytest

from fsl_jax.adapt import LNTuning, attach
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError

KEY = jax.random.key(0)


def trained(pretrained, method):
    params, mask = attach(pretrained.params, method, KEY)
    assert flatten(params).keys() == flatten(pretrained.params).keys()
    return {path for path, chosen in flatten(mask).items() if chosen}


@pytest.mark.parametrize(
    ("family", "norms", "leaves"),
    [
        ("bert", ["embeddings/norm"], ["scale", "bias"]),
        ("llama", ["final_norm"], ["scale"]),
        ("gpt2", ["final_norm"], ["scale", "bias"]),
    ],
)
def test_all_norms_are_trained(tiny, family, norms, leaves):
    norms = [*norms, "layers/attention/norm", "layers/mlp/norm"]
    assert trained(tiny(family), LNTuning()) == {f"{norm}/{n}" for norm in norms for n in leaves}


def test_the_norms_of_both_stacks_are_trained(tiny):
    found = trained(tiny("t5"), LNTuning())
    assert {
        "encoder/layers/mlp/norm/scale",
        "decoder/layers/cross_attention/norm/scale",
        "decoder/final_norm/scale",
    } < found
    assert all(path.endswith("norm/scale") for path in found)


def test_norms_of_heads_and_after_parts_are_norms_too(tiny_bases):
    found = trained(tiny_bases["gemma2"], LNTuning())
    assert "layers/attention/post_norm/scale" in found


def test_targets_choose_norms_by_the_ends_of_their_paths(bert):
    assert trained(bert, LNTuning("attention/norm")) == {
        "layers/attention/norm/scale",
        "layers/attention/norm/bias",
    }


@pytest.mark.parametrize(
    ("targets", "message"),
    [("attention/query", "no parameter matches"), ("(", "no regular expression")],
)
def test_what_is_no_norm_is_an_error(bert, targets, message):
    with pytest.raises(InputError, match=message):
        attach(bert.params, LNTuning(targets), KEY)
