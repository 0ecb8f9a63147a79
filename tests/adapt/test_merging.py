"""Merged weights compute what the adapted ones do, and can be taken apart and exported."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from fsl_jax.adapt import attach, merge, parse_method, unmerge
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models import export

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)
MERGEABLE = [
    ("bert", "lora(3, targets='mlp')+ia3(outputs='value', inputs='output')+bitfit"),
    ("llama", "lora(2, alpha=1, dora=True)+top_layers(1)"),
    ("gpt2", "vera(5)"),
    ("llama", "lora(2, scaling='rslora', layers='last 1')+ln_tuning"),
    ("gpt2", "lora(2, start='pissa')+ia3"),
    ("llama", "adalora"),
]
QUICK = 3
STRETCHED = [
    ("bert", "lora(4, alpha=1, scaling='rslora', dora=True)"),
    ("llama", "lora(2, alpha=1, dora=True, layers='last 1')+ia3(outputs='value', inputs='query')"),
    ("gpt2", "lora(2, alpha=0.5, start='pissa', dora=True, targets='mlp/')"),
]
"""More of DoRA: the longest updates are a good part of the columns."""


def cases(wanted=lambda text: True):
    """The cases, of which the first ones are quick."""
    return [
        pytest.param(*case, marks=() if number < QUICK else pytest.mark.soak)
        for number, case in enumerate(MERGEABLE)
        if wanted(case[1])
    ]


def error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize(("family", "text"), cases())
def test_merged_is_the_same_as_adapted(tiny, hidden, family, text, adapted):
    base = tiny(family)
    params = adapted(base, text)
    merged = merge(params, base)
    assert flatten(merged).keys() == flatten(base.params).keys()
    expected = hidden(base, params)
    assert error(hidden(base, merged), expected) < 1e-5
    assert error(hidden(base, base.params), expected) > 1e-2


@pytest.mark.parametrize(("family", "text"), [*MERGEABLE, *STRETCHED])
def test_unmerged_is_what_it_was(tiny, family, text, adapted):
    base = tiny(family)
    params = adapted(base, text)
    found, expected = flatten(unmerge(merge(params, base), params, base)), flatten(params)
    assert found.keys() == expected.keys()
    for path, leaf in found.items():
        np.testing.assert_allclose(leaf, expected[path], atol=2e-6, err_msg=path)


def test_a_base_in_bfloat16_stays_in_it(llama):
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), llama.params)
    params, _ = attach(half, parse_method("ia3"), KEY)
    for path, leaf in flatten(merge(params, llama)).items():
        assert leaf.dtype == jnp.bfloat16, path


def test_the_head_stays(bert, adapted):
    params = adapted(bert, "lora(2)") | {"head": {"kernel": jnp.ones((16, 3))}}
    assert (merge(params, bert)["head"]["kernel"] == 1).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adapter(size=2)", "mlp/adapter/sequential_relu/down: a bottleneck is not linear"),
        ("lora+prompt_tuning(2)", "embeddings/word/prompt: a soft prompt is no weight"),
        ("prefix_tuning(2)", "layers/attention/prefix_key: a prefix is no weight"),
    ],
)
def test_what_cannot_be_merged_says_why(llama, text, message, adapted):
    with pytest.raises(InputError, match=message):
        merge(adapted(llama, text), llama)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lora(2, start='pissa')", "lora_a_start: apply the method's `reparametrize` first"),
        ("vera(2)", "vera_d: it is not known how"),
    ],
)
def test_what_is_not_computed_yet_cannot_be_merged(llama, text, message):
    params, _ = attach(llama.params, parse_method(text), KEY)
    with pytest.raises(InputError, match=message):
        merge(params, llama)


def test_a_bias_that_the_base_has_not_cannot_be_merged(llama):
    leaves = flatten(llama.params) | {"layers/mlp/up/bias": jnp.zeros((3, 32))}
    with pytest.raises(InputError, match="mlp/up/bias: the base model has no bias there"):
        merge(unflatten(leaves), llama)


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


def test_transformers_computes_the_same_with_what_was_exported(tiny_bases, tmp_path, adapted):
    base = tiny_bases["llama"]
    params = adapted(base, "lora(2)+ia3+top_layers(1)")
    export(base, tmp_path / "merged", params=merge(params, base))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    ids = np.arange(2, 12, dtype=np.int32)[None]
    with torch.no_grad():
        found = model(input_ids=torch.tensor(ids).long()).logits.numpy()
    assert error(found, np.asarray(base.apply(params, ids, ids > 0).logits)) < 1e-5
