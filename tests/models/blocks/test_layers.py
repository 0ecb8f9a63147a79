import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.layers import NO_DROPOUT, Dense, Dropout, LayerNorm, RMSNorm

KEY = jax.random.key(3)


def test_dense_adds_the_low_rank_update_that_it_finds():
    x = jax.random.normal(KEY, (2, 5, 6))
    params = Dense(4).init(KEY, x)["params"]
    down, up = jax.random.normal(KEY, (6, 2)), jax.random.normal(KEY, (2, 4))
    adapted = {**params, "lora_a": down, "lora_b": up, "lora_scale": jnp.float32(0.5)}
    expected = x @ (params["kernel"] + 0.5 * down @ up) + params["bias"][None, None]
    np.testing.assert_allclose(Dense(4).apply({"params": adapted}, x), expected, atol=1e-5)


def test_dense_adds_a_bias_that_it_finds_where_the_model_has_none():
    layer, x = Dense(4, use_bias=False), jnp.ones((1, 2, 6))
    params = layer.init(KEY, x)["params"]
    assert "bias" not in params
    plain = layer.apply({"params": params}, x)
    biased = layer.apply({"params": {**params, "bias": jnp.arange(4.0)}}, x)
    np.testing.assert_allclose(
        biased - plain, np.broadcast_to(np.arange(4.0), (1, 2, 4)), atol=1e-6
    )


def test_float32_leaves_beside_a_bfloat16_base_are_cast():
    x = jnp.ones((1, 2, 6), jnp.bfloat16)
    params = Dense(4).init(KEY, x)["params"]
    adapted = {
        **jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params),
        "lora_a": jnp.ones((6, 2)),
        "lora_b": jnp.ones((2, 4)),
        "lora_scale": jnp.float32(1),
    }
    assert Dense(4).apply({"params": adapted}, x).dtype == jnp.bfloat16


@pytest.mark.parametrize("norm", [LayerNorm(1e-6), RMSNorm(1e-6)])
def test_norms_keep_the_dtype_and_compute_in_float32(norm):
    x = 1000 + jax.random.normal(KEY, (2, 3, 64))
    params = norm.init(KEY, x)["params"]
    exact = norm.apply({"params": params}, x.astype(jnp.bfloat16).astype(jnp.float32))
    rounded = norm.apply({"params": params}, x.astype(jnp.bfloat16))
    assert rounded.dtype == jnp.bfloat16
    np.testing.assert_array_equal(rounded, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize("width", [64, 63])
def test_dropout_drops_at_its_rate_and_keeps_the_mean(width):
    x = jnp.ones((500, 4, width))
    dropped = Dropout(0.1, KEY)(x, 0)
    np.testing.assert_allclose(jnp.mean(dropped == 0), 0.1, atol=0.005)
    np.testing.assert_allclose(dropped[dropped > 0], 1 / 0.9, rtol=1e-4)
    # Neighbours, which come from one random word, are dropped independently.
    both = jnp.mean((dropped[..., 0:-1:2] == 0) & (dropped[..., 1::2] == 0))
    np.testing.assert_allclose(both, 0.01, atol=0.002)


def test_dropout_differs_between_layers_and_places():
    x = jnp.ones((1, 8, 64))
    draws = [Dropout(0.5, KEY).within(layer)(x, place) for layer in (0, 1) for place in (0, 1)]
    for one in range(4):
        for other in range(one):
            assert jnp.any(draws[one] != draws[other])


def test_stacked_keys_drop_what_single_keys_drop():
    keys, x = jax.random.split(KEY, 3), jnp.ones((2, 4, 64))
    stacked = jax.vmap(lambda key: Dropout(0.3, key).within(1)(x, 0))(keys)
    for row, key in zip(stacked, keys, strict=True):
        np.testing.assert_array_equal(row, Dropout(0.3, key).within(1)(x, 0))


def test_no_dropout_is_the_identity():
    x = jnp.ones((1, 2, 3))
    assert NO_DROPOUT.within(1)(x, 0) is x


@pytest.mark.parametrize(("rate", "key"), [(0.1, None), (1.0, KEY), (-0.1, KEY)])
def test_a_wrong_rate_or_a_missing_key_is_an_error(rate, key):
    with pytest.raises(InputError, match="dropout rate"):
        Dropout(rate, key)


def test_the_offset_of_a_norm_is_added_to_its_scale():
    x = jax.random.normal(jax.random.key(0), (1, 2, 4))
    norm = RMSNorm(1e-6, offset=1.0)
    params = norm.init(jax.random.key(0), x)
    assert not jnp.any(params["params"]["scale"])
    moved = jax.tree.map(lambda scale: scale + 0.5, params)
    plain = RMSNorm(1e-6).apply({"params": {"scale": jnp.full(4, 1.5)}}, x)
    assert jnp.allclose(norm.apply(moved, x), plain)
