"""All leaves."""

import jax

from fsl_jax.adapt import Full, attach
from fsl_jax.adapt.tree import flatten


def test_everything_that_is_read_trains_and_nothing_is_added(llama, hidden):
    params, mask = attach(llama.params, Full(), jax.random.key(0), lambda p: hidden(llama, p))
    assert flatten(params).keys() == flatten(llama.params).keys()
    assert all(flatten(mask).values())
