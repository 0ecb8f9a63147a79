"""Linear layers with the leaves that are added beside their kernels."""

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.models.blocks.layers import Dense

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
