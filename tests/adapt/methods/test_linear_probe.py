"""The head alone."""

import jax
import jax.numpy as jnp
import pytest

from fsl_jax.adapt import LinearProbe, attach
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError

KEY = jax.random.key(0)


def test_only_the_head_trains(bert):
    params = bert.params | {"head": {"kernel": jnp.zeros((16, 2)), "bias": jnp.zeros(2)}}
    extended, mask = attach(params, LinearProbe(), KEY)
    assert extended is params
    assert {path for path, chosen in flatten(mask).items() if chosen} == {
        "head/kernel",
        "head/bias",
    }


def test_without_a_head_there_is_nothing_to_train(bert):
    with pytest.raises(InputError, match=r"no parameter matches '\^head/'"):
        attach(bert.params, LinearProbe(), KEY)
