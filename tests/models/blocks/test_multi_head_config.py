"""The sizes of models with multi-head attention."""

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.multi_head_config import MultiHeadConfig

SIZES = {"vocab_size": 40, "mlp_size": 48, "num_layers": 3, "max_length": 24}


def test_heads_share_the_width_and_have_keys_of_their_own():
    config = MultiHeadConfig(hidden_size=32, num_heads=4, **SIZES)
    assert (config.head_dim, config.num_kv_heads) == (8, 4)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(InputError, match="5 heads do not divide a width of 32"):
        MultiHeadConfig(hidden_size=32, num_heads=5, **SIZES)
