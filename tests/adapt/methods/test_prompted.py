"""Methods that train nothing."""

import jax
import jax.numpy as jnp
import pytest

from fsl_jax.adapt import attach
from fsl_jax.adapt.methods.prompted import InContext, ZeroShot
from fsl_jax.errors import InputError


@pytest.mark.parametrize("method", [ZeroShot(), InContext()], ids=lambda method: method.name)
def test_it_cannot_be_attached(method):
    with pytest.raises(InputError, match=f"{method.name} trains nothing"):
        attach({"kernel": jnp.ones(2)}, method, jax.random.key(0))


def test_only_in_context_learning_shows_examples():
    assert InContext().has_demonstrations
    assert not ZeroShot().has_demonstrations
