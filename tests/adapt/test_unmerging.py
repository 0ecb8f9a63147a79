"""Merged adapters are taken out of the weights again, or an error says why not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import merge, unmerge
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError

MERGEABLE = [
    ("bert", "lora(3, targets='mlp')+ia3(outputs='value', inputs='output')+bitfit"),
    ("llama", "lora(2, alpha=1, dora=True)+top_layers(1)"),
    ("gpt2", "vera(5)"),
    ("llama", "lora(2, scaling='rslora', layers='last 1')+ln_tuning"),
    ("gpt2", "lora(2, start='pissa')+ia3"),
    ("llama", "adalora"),
]
STRETCHED = [
    ("bert", "lora(4, alpha=1, scaling='rslora', dora=True)"),
    ("llama", "lora(2, alpha=1, dora=True, layers='last 1')+ia3(outputs='value', inputs='query')"),
    ("gpt2", "lora(2, alpha=0.5, start='pissa', dora=True, targets='mlp/')"),
]
"""More of DoRA: the longest updates are a good part of the columns."""


def error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(("family", "text"), [*MERGEABLE, *STRETCHED])
def test_unmerged_is_what_it_was(tiny, family, text, adapted):
    base = tiny(family)
    params = adapted(base, text)
    found, expected = flatten(unmerge(merge(params, base), params, base)), flatten(params)
    assert found.keys() == expected.keys()
    for path, leaf in found.items():
        np.testing.assert_allclose(leaf, expected[path], atol=2e-6, err_msg=path)


def test_what_is_lost_cannot_be_taken_out(llama, adapted):
    params = adapted(llama, "lora(2, alpha=1, dora=True)+ia3")
    query, value = (params["layers"]["attention"][name] for name in ("query", "value"))
    query["lora_magnitude"] = query["lora_magnitude"].at[1, :2].set(0)
    query["lora_b"] = query["lora_b"].at[2, :, 5].set(100)
    value["ia3"] *= 0
    lost = (
        r"query/lora_magnitude: it has zeros, 2 of 48\n",
        r"query: the update of DoRA is as long .* in 1 of 48, so that two kernels give the same\n",
        "value/ia3: it has zeros$",
    )
    with pytest.raises(InputError, match="(?s)load the base again.*" + ".*".join(lost)):
        unmerge(merge(params, llama), params, llama)


def test_a_long_update_has_two_kernels_that_give_the_same(llama, adapted):
    params = adapted(llama, "lora(2, alpha=1, dora=True, targets='query$')")
    query = params["layers"]["attention"]["query"]
    # The update of one column w is 2 w, so that w and -w become the same column.
    query["lora_a"] = query["lora_a"].at[0, :, 0].set(query["kernel"][0, :, 0])
    query["lora_b"] = query["lora_b"].at[0, :, 0].set(jnp.array([4.0, 0.0], jnp.float32))
    merged = merge(params, llama)
    query["kernel"] = query["kernel"].at[0, :, 0].multiply(-1)
    path = "layers/attention/query/kernel"
    both = (flatten(tree)[path] for tree in (merged, merge(params, llama)))
    np.testing.assert_allclose(*both, rtol=1e-5)
    with pytest.raises(InputError, match=r"query: .* in 1 of 48, so that two kernels"):
        unmerge(merged, params, llama)


def test_columns_that_dora_turns_around_or_cannot_stretch_come_back(llama, adapted):
    leaves = flatten(llama.params)
    path = "layers/attention/query/kernel"
    leaves[path] = leaves[path].at[0, :, 3].set(0)
    base = dataclasses.replace(llama, params=unflatten(leaves))
    params = adapted(base, "lora(2, alpha=1, dora=True)")
    query = params["layers"]["attention"]["query"]
    query["lora_magnitude"] = query["lora_magnitude"].at[1].multiply(-1)
    again = flatten(unmerge(merge(params, base), params, base))[path]
    assert error(again, np.asarray(leaves[path])) < 1e-5


def test_dora_in_bfloat16_comes_back_as_far_as_it_can(llama, adapted):
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), llama.params)
    base = dataclasses.replace(llama, params=half)
    params = adapted(base, "lora(2, alpha=1, dora=True)")
    again = flatten(unmerge(merge(params, base), params, base))["layers/attention/query/kernel"]
    assert again.dtype == jnp.bfloat16
    expected = np.float32(flatten(half)["layers/attention/query/kernel"])
    assert error(np.float32(again), expected) < 1e-2
