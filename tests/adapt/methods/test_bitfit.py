"""Biases alone."""

import jax
import jax.numpy as jnp
import pytest

from fsl_jax.adapt import BitFit, attach
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError

KEY = jax.random.key(0)


def test_every_bias_that_is_read_trains_and_nothing_else(bert, hidden):
    _, mask = attach(bert.params, BitFit(), KEY, lambda params: hidden(bert, params))
    for path, chosen in flatten(mask).items():
        assert chosen == (path.endswith("/bias") and not path.startswith("pooler/")), path


def test_a_model_without_biases_has_nothing_to_train_even_with_a_head(llama):
    params = llama.params | {"head": {"kernel": jnp.zeros((16, 2)), "bias": jnp.zeros(2)}}
    with pytest.raises(InputError, match="no parameter matches"):
        attach(params, BitFit(), KEY)
