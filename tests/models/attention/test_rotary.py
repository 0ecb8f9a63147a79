import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.attention.rotary import Llama3Scaling, rotary_frequencies, rotary_tables, rotate

THETA = 5e5


def test_slow_pairs_are_slowed_down_and_fast_ones_stay():
    plain = rotary_frequencies(128, THETA, None)
    scaled = rotary_frequencies(128, THETA, Llama3Scaling(8.0, 1.0, 4.0, 8192))
    assert scaled[0] == plain[0] == 1
    np.testing.assert_allclose(scaled[-1], plain[-1] / 8)
    assert np.all(np.diff(scaled) < 0)


def test_the_rotary_embedding_depends_on_distance_alone():
    query, keys = np.random.default_rng(0).standard_normal((2, 1, 5, 1, 8)).astype(np.float32)

    def score(shift):
        positions = jnp.arange(5, dtype=jnp.int32)[None] + shift
        tables = rotary_tables(positions, 8, 10_000.0)
        turned = rotate(jnp.asarray(query), tables)[:, 4], rotate(jnp.asarray(keys), tables)[:, 1]
        return float(jnp.sum(turned[0] * turned[1]))

    assert score(0) == pytest.approx(score(11), abs=1e-5)
    assert score(0) != pytest.approx(float(np.sum(query[:, 4] * keys[:, 1])), abs=1e-2)
