import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.blocks.pooling import POOLINGS

MASKS = {
    "right": [[True, True, True, False], [True, False, False, False], [True] * 4],
    "left": [[False, True, True, True], [False, False, False, True], [True] * 4],
}
ROWS = {
    "mean": lambda row: row.mean(axis=0),
    "cls": lambda row: row[0],
    "last": lambda row: row[-1],
}


@pytest.mark.parametrize("padding", MASKS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_is_left_out_on_either_side(pooling, padding):
    hidden = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    mask = np.array(MASKS[padding])
    pooled = POOLINGS[pooling](jnp.asarray(hidden), jnp.asarray(mask))
    expected = [ROWS[pooling](row[real]) for row, real in zip(hidden, mask, strict=True)]
    np.testing.assert_allclose(pooled, np.stack(expected), rtol=1e-6)
