"""LoRA: its leaves, its start, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import BitFit, Joined, LoRA, attach, parse_method
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.layers import Dense

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


def test_rank_stabilised_the_scale_is_alpha_over_the_root_of_the_rank(llama):
    params, _ = attach(llama.params, LoRA(rank=4, alpha=6.0, scaling="rslora"), KEY)
    assert (params["layers"]["attention"]["value"]["lora_scale"] == 3.0).all()


def random_update(leaves):
    """Every trained leaf of a layer moved by as much as it is large."""
    random = np.random.default_rng(0)
    for name in leaves.keys() & {"lora_a", "lora_b", "lora_magnitude"}:
        leaves[name] += random.normal(size=leaves[name].shape, scale=0.3).astype(np.float32)


@pytest.mark.parametrize("dora", [False, True])
def test_layers_that_are_not_chosen_are_the_bases(bert, hidden, dora):
    method = LoRA(rank=2, targets="mlp/up$", layers="0,2", dora=dora)
    params, _ = attach(bert.params, method, KEY, lambda p: hidden(bert, p))
    up = params["layers"]["mlp"]["up"]
    random_update(up)
    only = jax.tree.map(lambda leaf: leaf, bert.params)
    for layer in (0, 2):
        kernel = up["kernel"][layer] + 8.0 * up["lora_a"][layer] @ up["lora_b"][layer]
        if dora:
            kernel *= (up["lora_magnitude"][layer] / jnp.linalg.norm(kernel, axis=0))[None]
        stack = only["layers"]["mlp"]["up"]
        stack["kernel"] = stack["kernel"].at[layer].set(kernel)
    found = hidden(bert, params)
    np.testing.assert_allclose(found, hidden(bert, only), rtol=2e-4, atol=2e-5)


def test_layers_that_are_not_chosen_do_not_count_as_trained(bert):
    method = LoRA(rank=2, targets="mlp/up$", layers="0,2", dora=True)
    shapes = {
        "layers/mlp/up/lora_a": (3, 16, 2),
        "layers/mlp/up/lora_b": (3, 2, 32),
        "layers/mlp/up/lora_magnitude": (3, 32),
        "head/kernel": (16, 2),
    }
    one_layer = 16 * 2 + 2 * 32 + 32
    assert method.unused_parameters(shapes) == one_layer
    assert Joined((BitFit(), method)).unused_parameters(shapes) == one_layer
    assert LoRA(rank=2, targets="mlp/up$").unused_parameters(shapes) == 0


def test_of_two_parts_each_counts_its_own_layers():
    method = parse_method("lora(2, layers='last 1', targets='key$')+adalora(2, 2, targets='up$')")
    shapes = {
        "layers/attention/key/lora_a": (3, 16, 2),
        "layers/attention/key/lora_b": (3, 2, 16),
        "layers/mlp/up/lora_a": (3, 16, 2),
        "layers/mlp/up/lora_b": (3, 2, 32),
    }
    assert method.unused_parameters(shapes) == 2 * (32 + 32)


def test_layers_of_a_stack_that_is_cut_are_named_by_their_part(llama):
    with pytest.raises(InputError, match="counts the layers of a whole stack, and top_layers"):
        attach(llama.params, parse_method("top_layers(1)+lora(layers='last 2')"), KEY)
    named = parse_method("top_layers(1)+lora(2, targets='^top_layers/.*query$')")
    params, _ = attach(llama.params, named, KEY)
    assert params["top_layers"]["attention"]["query"]["lora_a"].shape == (1, 16, 2)
    assert "lora_a" not in params["layers"]["attention"]["query"]


def test_runs_whose_trees_differ_are_not_stacked():
    assert LoRA(layers="last 1").structure == LoRA(layers="0").structure != LoRA().structure


def test_layers_that_are_not_there_are_refused_when_it_is_attached(bert):
    with pytest.raises(InputError, match=r"lora's layers '3' are none of 3 layers"):
        attach(bert.params, LoRA(layers="3"), KEY)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_with_dora_the_model_starts_out_as_the_base(tiny, hidden, family):
    base = tiny(family)
    method = LoRA(rank=2, targets="(query|down)$", dora=True)
    params, mask = attach(base.params, method, KEY, lambda p: hidden(base, p))
    np.testing.assert_allclose(hidden(base, params), hidden(base, base.params), rtol=1e-6)
    trained = {path for path, chosen in flatten(mask).items() if chosen}
    assert {path.rpartition("/")[2] for path in trained} == {"lora_a", "lora_b", "lora_magnitude"}
    down = params["layers"]["mlp"]["down"]
    assert down["lora_magnitude"].shape == down["lora_norm"].shape == (3, 16)


def test_dora_divides_by_lengths_that_pass_no_gradient_on(bert, hidden):
    method = LoRA(rank=2, alpha=3.0, targets="mlp/up$", dora=True)
    params, _ = attach(bert.params, method, KEY)
    random_update(params["layers"]["mlp"]["up"])

    def other(leaves):
        """The same, written out with the adapted kernel."""
        up = leaves["layers"]["mlp"]["up"]
        kernel = up["kernel"] + 1.5 * up["lora_a"] @ up["lora_b"]
        length = jax.lax.stop_gradient(jnp.linalg.norm(kernel, axis=-2, keepdims=True))
        plain = {"kernel": kernel / length * up["lora_magnitude"][:, None], "bias": up["bias"]}
        mlp = leaves["layers"]["mlp"] | {"up": plain}
        return leaves | {"layers": leaves["layers"] | {"mlp": mlp}}

    def gradient(of):
        found = jax.grad(lambda leaves: (hidden(bert, of(leaves)) ** 3).sum())(params)
        return {name: found["layers"]["mlp"]["up"][name] for name in names}

    names = ("lora_a", "lora_b", "lora_magnitude")
    found, expected = gradient(lambda leaves: leaves), gradient(other)
    for name in names:
        scale = jnp.abs(expected[name]).max()
        assert scale > 0
        np.testing.assert_allclose(found[name] / scale, expected[name] / scale, atol=1e-4)


@pytest.mark.parametrize("dora", [False, True])
def test_many_runs_hold_the_base_once(dora):
    runs, width = 16, 256
    base = {"layers": {"mlp": {"up": {"kernel": jax.random.normal(KEY, (1, width, width))}}}}
    method = LoRA(rank=2, targets="up$", dora=dora)
    extended = flatten(method.extend(base, KEY))
    added = {
        path.rpartition("/")[2]: jnp.broadcast_to(leaf, (runs, *leaf.shape[1:]))
        for path, leaf in extended.items()
        if "lora" in path
    }

    def loss(added, kernel, x):
        return Dense(width, use_bias=False).apply({"params": added | {"kernel": kernel}}, x).sum()

    gradients = jax.vmap(jax.grad(loss), (0, None, 0))
    arguments = (added, base["layers"]["mlp"]["up"]["kernel"][0], jnp.ones((runs, 8, width)))
    memory = jax.jit(gradients).lower(*arguments).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * width * width * 4 < runs * width * width * 4


def test_dora_on_a_base_of_bfloat16_has_lengths_in_float32(bert):
    halves = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), bert.params)
    params, _ = attach(halves, LoRA(rank=2, dora=True), KEY)
    query = params["layers"]["attention"]["query"]
    expected = np.linalg.norm(np.float64(query["kernel"]), axis=-2)
    assert query["lora_norm"].dtype == jnp.float32
    np.testing.assert_allclose(query["lora_norm"], expected, rtol=1e-5)


def test_lora_plus_is_another_learning_rate_of_the_second_matrix():
    assert LoRA(learning_rate_ratio=16.0).learning_rate_factors == {"/lora_b$": 16.0}
    assert LoRA().learning_rate_factors == {}


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
        ({"rank": 0}, "rank = 0: expected a whole number, from 1 to 1,048,576"),
        ({"alpha": 0.0}, "alpha = 0.0: expected a finite number, above 0"),
        ({"alpha": float("inf")}, "alpha = inf: expected a finite number, above 0"),
        ({"learning_rate_ratio": 0.0}, "learning_rate_ratio = 0.0: expected a finite number"),
        ({"layers": "some"}, "lora's layers 'some' cannot be read"),
        ({"scaling": "rs_lora"}, "unknown scaling of lora 'rs_lora'. Did you mean 'rslora'"),
        ({"start": "pisa"}, "unknown start of lora 'pisa'. Did you mean 'pissa'"),
        ({"targets": "(query"}, r"targets '\(query' are no regular expression"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        LoRA(**settings)
