"""IA3: its leaves, its start, what it computes, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import IA3, attach
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.layers import Dense

KEY = jax.random.key(0)


def test_the_model_starts_out_as_the_base(tiny, hidden):
    base = tiny("llama")
    params, _ = attach(base.params, IA3(), KEY, lambda params: hidden(base, params))
    np.testing.assert_array_equal(hidden(base, params), hidden(base, base.params))


def test_keys_values_and_what_is_inside_the_mlp_are_scaled(llama):
    params, mask = attach(llama.params, IA3(), KEY)
    added = {path: leaf for path, leaf in flatten(params).items() if "ia3" in path}
    assert {path: leaf.shape for path, leaf in added.items()} == {
        "layers/attention/key/ia3": (3, 8),
        "layers/attention/value/ia3": (3, 8),
        "layers/mlp/down/ia3_in": (3, 32),
    }
    assert all(leaf.dtype == jnp.float32 and (leaf == 1).all() for leaf in added.values())
    assert {path for path, chosen in flatten(mask).items() if chosen} == added.keys()


def test_all_attentions_of_an_encoder_decoder_are_scaled(tiny):
    params, _ = attach(tiny("t5").params, IA3(), KEY)
    found = {path for path in flatten(params) if path.endswith("ia3")}
    places = ["encoder/layers/attention", "decoder/layers/attention"]
    places.append("decoder/layers/cross_attention")
    assert found == {f"{place}/{name}/ia3" for place in places for name in ("key", "value")}


def test_the_output_is_scaled_with_its_bias_and_with_a_low_rank_update():
    random = np.random.default_rng(0)
    sizes = {"kernel": (4, 3), "bias": (3,), "ia3": (3,), "ia3_in": (4,)}
    sizes |= {"lora_a": (4, 2), "lora_b": (2, 3), "lora_scale": ()}
    leaves = {name: np.float32(random.normal(size=size)) for name, size in sizes.items()}
    x = random.normal(size=(5, 4)).astype(np.float32)
    found = Dense(3).apply({"params": jax.tree.map(jnp.asarray, leaves)}, jnp.asarray(x))
    scaled = x * leaves["ia3_in"]
    update = scaled @ leaves["lora_a"] @ leaves["lora_b"] * leaves["lora_scale"]
    expected = (scaled @ leaves["kernel"] + leaves["bias"] + update) * leaves["ia3"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_one_of_the_two_patterns_may_be_empty(llama):
    params, _ = attach(llama.params, IA3(outputs="", inputs="attention/output$"), KEY)
    found = {path for path in flatten(params) if "ia3" in path}
    assert found == {"layers/attention/output/ia3_in"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"outputs": "keys"},
            r"(?s)ia3's outputs 'keys' match none of the layers.*attention/query",
        ),
        ({"inputs": "keys"}, "ia3's inputs 'keys' match none"),
        ({"outputs": "", "inputs": ""}, "neither outputs nor inputs"),
        ({"outputs": "("}, "ia3's outputs .* no regular expression"),
    ],
)
def test_what_matches_nothing_is_an_error(llama, settings, message):
    with pytest.raises(InputError, match=message):
        attach(llama.params, IA3(**settings), KEY)
