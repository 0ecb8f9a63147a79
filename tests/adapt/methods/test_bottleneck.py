"""Adapters: their leaves, their start, what they compute, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import BottleneckAdapter, attach
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.layers import BOTTLENECK_ACTIVATIONS, Bottleneck

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("family", "placement"),
    [("bert", "houlsby"), ("llama", "parallel"), ("gpt2", "pfeiffer")],
)
def test_the_model_starts_out_as_the_base(tiny, hidden, family, placement):
    base = tiny(family)
    method = BottleneckAdapter(placement, size=3)
    # Attaching traces the model, and fails where a leaf is not read.
    params, _ = attach(base.params, method, KEY, lambda params: hidden(base, params))
    np.testing.assert_array_equal(hidden(base, params), hidden(base, base.params))


def added(pretrained, method):
    params, mask = attach(pretrained.params, method, KEY)
    chosen = flatten(mask)
    leaves = {path: leaf for path, leaf in flatten(params).items() if "/adapter/" in path}
    trained = {path for path in chosen if chosen[path]}
    assert trained == {path for path in leaves if not path.endswith("/scale")}
    return leaves


def test_leaves_have_the_shapes_of_a_bottleneck(llama):
    found = added(llama, BottleneckAdapter("pfeiffer", 5, "gelu", 2.0))
    place = "layers/mlp/adapter/sequential_gelu"
    assert {path: leaf.shape for path, leaf in found.items()} == {
        f"{place}/down": (3, 16, 5),
        f"{place}/down_bias": (3, 5),
        f"{place}/up": (3, 5, 16),
        f"{place}/up_bias": (3, 16),
        f"{place}/scale": (3,),
    }
    assert all(leaf.dtype == jnp.float32 for leaf in found.values())
    assert (found[f"{place}/scale"] == 2).all()
    assert np.abs(found[f"{place}/down"]).max() > 0.1


@pytest.mark.parametrize(
    ("family", "placement", "places"),
    [
        ("bert", "houlsby", {"layers/attention", "layers/mlp"}),
        ("bert", "parallel", {"layers/mlp"}),
        (
            "t5",
            "houlsby",
            {
                "encoder/layers/attention",
                "encoder/layers/mlp",
                "decoder/layers/attention",
                "decoder/layers/cross_attention",
                "decoder/layers/mlp",
            },
        ),
    ],
)
def test_a_placement_says_what_adapters_stand_at(tiny, family, placement, places):
    found = added(tiny(family), BottleneckAdapter(placement, 2))
    assert {path.partition("/adapter/")[0] for path in found} == places


def test_an_encoder_decoder_reads_all_leaves(tiny):
    base, ids = tiny("t5"), np.ones((1, 3), np.int32)

    def logits(params):
        return base.apply(params, ids, ids > 0, decoder_input_ids=ids).logits

    attach(base.params, BottleneckAdapter("houlsby", 2), KEY, logits)
    attach(base.params, BottleneckAdapter("parallel", 2), KEY, logits)


def random_leaves(width, size):
    random = np.random.default_rng(0)
    sizes = {"down": (width, size), "down_bias": (size,), "up": (size, width), "up_bias": (width,)}
    leaves = {name: random.normal(size=each).astype(np.float32) for name, each in sizes.items()}
    return leaves | {"scale": np.float32(1.5)}


@pytest.mark.parametrize("order", ["sequential", "parallel"])
@pytest.mark.parametrize("activation", BOTTLENECK_ACTIVATIONS)
def test_the_update_is_that_of_the_paper(order, activation):
    leaves = random_leaves(4, 3)
    y, x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 1, 5, 4)), jnp.float32)
    found = Bottleneck().apply({"params": {f"{order}_{activation}": leaves}}, y, x)
    z = y if order == "sequential" else x
    inner = BOTTLENECK_ACTIVATIONS[activation](z @ leaves["down"] + leaves["down_bias"][None, None])
    update = inner @ leaves["up"] + leaves["up_bias"][None, None]
    np.testing.assert_allclose(found, y + update * 1.5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", BOTTLENECK_ACTIVATIONS)
def test_what_pads_a_smaller_bottleneck_has_no_gradient(activation):
    def pad(leaf):
        widths = [(0, 3 if size == 2 else 0) for size in leaf.shape]
        return np.pad(leaf, widths) if widths else leaf

    leaves = jax.tree.map(pad, random_leaves(4, 2))
    x = jnp.ones((1, 2, 4))

    def total(leaves):
        return Bottleneck().apply({"params": {f"sequential_{activation}": leaves}}, x, x).sum()

    gradients = jax.grad(total)(leaves)
    for name in ("down", "down_bias", "up"):
        padded = gradients[name][2:] if name == "up" else gradients[name][..., 2:]
        assert padded.size
        assert not padded.any()
        assert gradients[name].any()


def test_two_placements_stand_beside_each_other(llama, hidden):
    params = llama.params
    for placement in ("houlsby", "parallel"):
        params, _ = attach(params, BottleneckAdapter(placement, 2), KEY)
    leaves = {
        path: leaf + 0.3 if path.endswith("/up") else leaf for path, leaf in flatten(params).items()
    }
    groups = ("attention/adapter/sequential", "mlp/adapter/sequential", "mlp/adapter/parallel")
    results = [
        hidden(llama, unflatten({p: leaf for p, leaf in leaves.items() if group not in p}))
        for group in ("none", *groups)
    ]
    for place, found in enumerate(results):
        for other in results[:place]:
            assert np.abs(found - other).max() > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"placement": "houlsbi"}, "unknown placement of adapters 'houlsbi'. Did you mean"),
        ({"activation": "sigmoid"}, "unknown activation of adapters 'sigmoid'"),
        ({"size": 0}, "size = 0: expected a whole number, from 1 to"),
        ({"scale": 0.0}, "scale = 0.0: expected a finite number, above 0"),
    ],
)
def test_settings_that_make_no_sense_are_errors(settings, message):
    with pytest.raises(InputError, match=message):
        BottleneckAdapter(**settings)
