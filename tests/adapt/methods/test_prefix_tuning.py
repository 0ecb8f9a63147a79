"""Learned prefixes, computed by a network (prefix tuning) or not (P-tuning v2)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import (
    PrefixTuning,
    PTuningV2,
    TopLayers,
    attach,
    load_adapter,
    save_adapter,
)
from fsl_jax.adapt.parts.learned_prefix import with_leaves
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError

IDS = np.arange(10, dtype=np.int32).reshape(2, 5)
MASK = np.array([[True] * 5, [True] * 3 + [False] * 2])


def prefixed(base, length=3, mask=None):
    params = PTuningV2(length).extend(base.params, jax.random.key(0))
    rows = jnp.ones((base.config.num_layers, length)) if mask is None else jnp.array(mask)
    return with_leaves(params, {"layers": {"prefix_mask": rows}})


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_keys_and_values_of_words_are_as_if_these_were_read(tiny_bases, family):
    base = tiny_bases[family]
    words, mask = np.array([[7, 8, 9]], np.int32), np.ones((2, 5), bool)
    apply = jax.jit(base.apply)
    read = apply(base.params, words, np.ones((1, 3), bool)).key_values

    def flat(states):
        return states[:, 0].reshape(base.config.num_layers, 3, -1)

    leaves = {"prefix_key": flat(read.keys), "prefix_value": flat(read.values)}
    params = with_leaves(prefixed(base), {"layers": leaves})
    found = apply(params, IDS, mask).hidden
    expected = apply(base.params, IDS, mask, prefix=read).hidden
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
def test_padding_of_a_prefix_changes_nothing(tiny, hidden, family):
    base = tiny(family)
    whole = hidden(base, prefixed(base))
    padded = prefixed(base, 5, [[1.0, 1, 1, 0, 0]] * 3)
    leaves = flatten(prefixed(base))
    longer = flatten(padded) | {
        path: flatten(padded)[path].at[:, :3].set(leaves[path])
        for path in leaves
        if path.endswith(("prefix_key", "prefix_value"))
    }
    assert np.abs(whole - hidden(base, base.params))[MASK].max() > 0.1
    np.testing.assert_allclose(hidden(base, unflatten(longer))[MASK], whole[MASK], atol=1e-5)
    none = prefixed(base, 3, [[0.0] * 3] * 3)
    expected = hidden(base, base.params)
    np.testing.assert_allclose(hidden(base, none)[MASK], expected[MASK], atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_every_step_sees_the_prefix(tiny, family):
    base, mask = tiny(family), np.ones((2, 5), bool)
    params = prefixed(base)
    # Both texts begin alike, so that they can share what was read of the beginning.
    ids, apply = np.array([[1, 2, 3, 4, 5], [1, 2, 3, 8, 9]], np.int32), jax.jit(base.apply)
    whole = apply(params, ids, mask).hidden
    first = apply(params, ids[:, :3], mask[:, :3]).key_values
    assert first.mask.shape == (2, 3)
    shared = jax.tree.map(lambda states: states[:, :1] if states.ndim == 5 else states[:1], first)
    for prefix, rows in ((first, slice(3, 4)), (shared, slice(3, 5))):
        after = apply(params, ids[:, rows], mask[:, rows], prefix=prefix).hidden
        np.testing.assert_allclose(after, whole[:, rows], rtol=1e-4, atol=1e-5)


def test_layers_in_two_segments_have_a_prefix_each(llama):
    whole = PTuningV2(2).extend(llama.params, jax.random.key(0))
    cut = PTuningV2(2).extend(
        TopLayers(1).extend(llama.params, jax.random.key(0)), jax.random.key(0)
    )
    attention = whole["layers"]["attention"]
    names = ("prefix_key", "prefix_value")
    leaves = {
        "layers": {name: attention[name][:2] for name in names},
        "top_layers": {name: attention[name][2:] for name in names},
    }
    apply = jax.jit(llama.apply)
    found = apply(with_leaves(cut, leaves), IDS, MASK).hidden
    expected = apply(whole, IDS, MASK).hidden
    np.testing.assert_allclose(found[MASK], expected[MASK], rtol=1e-5, atol=1e-5)
    method = PrefixTuning(2, 4)
    cut = TopLayers(3).extend(llama.params, jax.random.key(0))
    computed = jax.eval_shape(
        lambda cut: method.reparametrize(method.extend(cut, jax.random.key(0))), cut
    )
    assert computed["layers"]["attention"]["prefix_key"].shape == (0, 2, 8)
    assert computed["top_layers"]["attention"]["prefix_key"].shape == (3, 2, 8)


def test_what_the_network_computed_is_kept_and_the_network_dropped(llama, tmp_path):
    method = PrefixTuning(2, 4)

    def forward(params):
        return llama.apply(params, IDS, MASK, unembed=False).hidden

    params, mask = attach(llama.params, method, jax.random.key(0), forward)
    forward = jax.jit(forward)
    trained = {path for path, chosen in flatten(mask).items() if chosen}
    assert trained == {path for path in flatten(params) if path.startswith("prefix_encoder/")}
    leaves = {path: leaf for path, leaf in flatten(params).items() if path in trained}
    kept = method.finish(unflatten(leaves))
    shapes = {path: leaf.shape for path, leaf in flatten(kept).items()}
    assert shapes == {f"layers/attention/prefix_{name}": (3, 2, 8) for name in ("key", "value")}
    save_adapter(tmp_path / "adapter", kept, method, llama, {})
    adapter = load_adapter(tmp_path / "adapter", llama)
    assert adapter.method == method
    assert "prefix_encoder" not in adapter.params
    np.testing.assert_allclose(
        forward(adapter.params)[MASK], forward(method.reparametrize(params))[MASK], rtol=1e-5
    )


def test_prefix_and_text_together_are_no_longer_than_the_model_reads(tiny):
    base = tiny("gpt2")
    with pytest.raises(InputError, match="5 tokens and the 12 before them"):
        base.apply(prefixed(base, 12), IDS, MASK)


@pytest.mark.parametrize("method", [PrefixTuning(), PTuningV2()])
def test_a_second_prefix_is_refused(tiny, method):
    with pytest.raises(InputError, match="have a prefix already"):
        method.extend(prefixed(tiny("llama")), jax.random.key(0))


def test_settings_at_fault_are_named():
    with pytest.raises(InputError, match=r"(?s)length = 0: expected .*hidden = -4: expected"):
        PrefixTuning(0, -4)
    with pytest.raises(InputError, match="length = 0: expected a whole number"):
        PTuningV2(0)
