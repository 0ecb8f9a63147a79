"""LoRA: its leaves, its start, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import LoRA, attach
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError

KEY = jax.random.key(0)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_model_starts_out_as_the_base(tiny, hidden, family):
    base = tiny(family)
    params, _ = attach(
        base.params, LoRA(rank=2, targets="(query|down)$"), KEY, lambda p: hidden(base, p)
    )
    np.testing.assert_array_equal(hidden(base, params), hidden(base, base.params))


def test_leaves_have_the_shapes_of_their_kernels_and_the_scale_is_alpha_over_rank(llama):
    params, mask = attach(llama.params, LoRA(rank=4, alpha=6.0, targets="(value|down)$"), KEY)
    added = {path: leaf for path, leaf in flatten(params).items() if "lora" in path}
    assert {path: leaf.shape for path, leaf in added.items()} == {
        "layers/attention/value/lora_a": (3, 16, 4),
        "layers/attention/value/lora_b": (3, 4, 8),
        "layers/attention/value/lora_scale": (3,),
        "layers/mlp/down/lora_a": (3, 32, 4),
        "layers/mlp/down/lora_b": (3, 4, 16),
        "layers/mlp/down/lora_scale": (3,),
    }
    assert all(leaf.dtype == jnp.float32 for leaf in added.values())
    assert (added["layers/mlp/down/lora_scale"] == 1.5).all()
    trained = {path for path, chosen in flatten(mask).items() if chosen}
    assert trained == {path for path in added if not path.endswith("scale")}


def test_a_layer_adds_the_low_rank_update(bert, hidden):
    params, _ = attach(bert.params, LoRA(rank=2, alpha=8.0, targets="mlp/up$"), KEY)
    up = params["layers"]["mlp"]["up"]
    up["lora_b"] = jax.random.normal(KEY, up["lora_b"].shape)
    merged = jax.tree.map(lambda leaf: leaf, bert.params)
    merged["layers"]["mlp"]["up"]["kernel"] += 4.0 * up["lora_a"] @ up["lora_b"]
    found = hidden(bert, params)
    np.testing.assert_allclose(found, hidden(bert, merged), rtol=2e-4, atol=2e-5)
    assert jnp.abs(found - hidden(bert, bert.params)).max() > 1e-2


def test_the_draw_depends_on_the_key_and_not_on_the_other_targets(bert):
    def leaf(targets, key=KEY):
        params, _ = attach(bert.params, LoRA(rank=2, targets=targets), key)
        return flatten(params)["layers/attention/query/lora_a"]

    np.testing.assert_array_equal(leaf("query$"), leaf("attention/"))
    assert not (leaf("query$") == leaf("query$", jax.random.key(1))).any()
    assert 0.2 < jnp.abs(leaf("query$")).max() <= 0.25  # uniform up to 1 / sqrt(16)


def test_targets_that_match_nothing_show_the_layers_there_are(llama):
    with pytest.raises(InputError) as error:
        attach(llama.params, LoRA(targets="q_proj"), KEY)
    assert "'q_proj' match none" in str(error.value)
    assert "layers/attention/query" in str(error.value)


def test_a_head_is_never_a_target(bert):
    params = bert.params | {"head": {"kernel": jnp.zeros((16, 2)), "bias": jnp.zeros(2)}}
    extended, _ = attach(params, LoRA(targets="."), KEY)
    assert set(extended["head"]) == {"kernel", "bias"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank of at least 1, found 0"),
        ({"alpha": 0.0}, "alpha above 0, found 0.0"),
        ({"alpha": float("inf")}, "alpha above 0, found inf"),
        ({"targets": "(query"}, r"targets '\(query' are no regular expression"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        LoRA(**settings)
