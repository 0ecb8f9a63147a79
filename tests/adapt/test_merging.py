"""Merged weights compute what the adapted ones do, and can be exported."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from fsl_jax.adapt import attach, merge, parse_method
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models import export

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
        ("vera(2)", "vera_d: apply the method's `reparametrize` first"),
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


def test_transformers_computes_the_same_with_what_was_exported(tiny_bases, tmp_path, adapted):
    base = tiny_bases["llama"]
    params = adapted(base, "lora(2)+ia3+top_layers(1)")
    export(base, tmp_path / "merged", params=merge(params, base))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    ids = np.arange(2, 12, dtype=np.int32)[None]
    with torch.no_grad():
        found = model(input_ids=torch.tensor(ids).long()).logits.numpy()
    assert error(found, np.asarray(base.apply(params, ids, ids > 0).logits)) < 1e-5
