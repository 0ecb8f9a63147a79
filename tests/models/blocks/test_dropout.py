"""Dropout: its rate, and which keys draw the same masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.layers import NO_DROPOUT, Dropout

KEY = jax.random.key(3)


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
