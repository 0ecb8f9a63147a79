"""Normalisations compute in float32 and keep the dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.blocks.layers import LayerNorm, RMSNorm

KEY = jax.random.key(3)


@pytest.mark.parametrize("norm", [LayerNorm(1e-6), RMSNorm(1e-6)])
def test_norms_keep_the_dtype_and_compute_in_float32(norm):
    x = 1000 + jax.random.normal(KEY, (2, 3, 64))
    params = norm.init(KEY, x)["params"]
    exact = norm.apply({"params": params}, x.astype(jnp.bfloat16).astype(jnp.float32))
    rounded = norm.apply({"params": params}, x.astype(jnp.bfloat16))
    assert rounded.dtype == jnp.bfloat16
    np.testing.assert_array_equal(rounded, exact.astype(jnp.bfloat16))


def test_the_offset_of_a_norm_is_added_to_its_scale():
    x = jax.random.normal(jax.random.key(0), (1, 2, 4))
    norm = RMSNorm(1e-6, offset=1.0)
    params = norm.init(jax.random.key(0), x)
    assert not jnp.any(params["params"]["scale"])
    moved = jax.tree.map(lambda scale: scale + 0.5, params)
    plain = RMSNorm(1e-6).apply({"params": {"scale": jnp.full(4, 1.5)}}, x)
    assert jnp.allclose(norm.apply(moved, x), plain)
