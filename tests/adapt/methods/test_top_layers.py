"""The last layers alone: the stack is cut in two, and computes what it computed."""

import jax
import numpy as np
import pytest

from fsl_jax.adapt import TopLayers, attach
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError

KEY = jax.random.key(0)


@pytest.mark.parametrize(("family", "k"), [("bert", 1), ("llama", 2), ("llama", 3)])
def test_the_cut_changes_no_number(tiny, hidden, family, k):
    base = tiny(family)
    params, _ = attach(base.params, TopLayers(k), KEY, lambda p: hidden(base, p))
    depths = [jax.tree.leaves(params[name])[0].shape[0] for name in ("layers", "top_layers")]
    assert depths == [3 - k, k]
    np.testing.assert_allclose(
        hidden(base, params), hidden(base, base.params), rtol=1e-6, atol=1e-6
    )


def test_what_stands_above_the_layers_trains_with_them_and_the_trunk_does_not(llama, hidden):
    _, mask = attach(llama.params, TopLayers(1), KEY, lambda params: hidden(llama, params))
    for path, chosen in flatten(mask).items():
        assert chosen == path.startswith(("top_layers/", "final_norm/")), path


def test_more_layers_than_there_are_is_an_error(bert):
    with pytest.raises(InputError, match=r"top_layers\(k=4\) on a model of 3 layers"):
        attach(bert.params, TopLayers(4), KEY)


def test_no_layer_at_all_is_an_error():
    with pytest.raises(InputError, match="k = 0: expected a whole number, from 1"):
        TopLayers(0)
