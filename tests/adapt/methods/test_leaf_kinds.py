"""Every leaf that a method adds is of a known kind, and every kind belongs to a weight."""

import re

import jax
import pytest

from fsl_jax.adapt import TRAINED_METHODS, parse_method
from fsl_jax.adapt.methods.leaf_kinds import (
    added_paths,
    is_known,
    neutral_leaf_value,
)
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.added_leaves import ADDED_LEAVES, find_added_leaf, layer_and_name
from fsl_jax.models.blocks.intermediate_leaves import find_intermediate_leaf, is_replaced

VARIANTS = (
    "lora(dora=True)",
    "lora(start='pissa', rank=2)",
    "lora(targets='.')",
    "lora(layers='last 1', dora=True, scaling='rslora')",
    "vera(targets='.')",
    "adalora(targets='.')",
    "ia3('.', '.')",
    "adapter('houlsby', activation='gelu')",
    "adapter('parallel', activation='silu')",
    "adapter('pfeiffer', activation='tanh')",
    "prompt_tuning(position='suffix')",
    "p_tuning(encoder='mlp')",
    "top_layers(1)+lora+ia3",
    "prefix_tuning+adapter('parallel')",
    "vera+prompt_tuning",
)
FAMILIES = ("bert", "llama", "gpt2", "gemma2", "t5")
REFUSED = {("t5", "prompt_tuning(position='suffix')")}
"""An encoder-decoder takes no suffix."""


@pytest.fixture(scope="module")
def trees(tiny_bases):
    """The paths of a base, and those of the trees before and after `reparametrize`."""

    def make(family, text):
        params, method = tiny_bases[family].params, parse_method(text)
        extended = jax.eval_shape(method.extend, params, jax.random.key(0))
        read = jax.eval_shape(method.reparametrize, extended)
        return [flatten(tree).keys() for tree in (params, extended, read)]

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_adds_known_leaves_alone(trees, family):
    seen = set()
    for text in (*TRAINED_METHODS, *VARIANTS):
        if (family, text) in REFUSED:
            with pytest.raises(InputError, match="suffix"):
                trees(family, text)
            continue
        base, extended, read = trees(family, text)
        added = added_paths(extended | read, base)
        assert [path for path in added if not is_known(path)] == [], text
        seen |= {find_added_leaf(path) for path in added if not find_intermediate_leaf(path)}
        for path in added_paths(read, base):
            if kind := find_intermediate_leaf(path):
                assert is_replaced(path, kind, read), (text, path)
                assert not is_replaced(path, kind, extended), (text, path)
            else:
                require_weight(path, read)
    # Task heads and biases are added by what trains and loads models, a suffix by decoders alone.
    others = {"head/kernel", "mlp/bias"} | ({"word/suffix"} if family == "t5" else set())
    assert seen | {find_added_leaf(path) for path in others} == set(ADDED_LEAVES)


def require_weight(path, paths):
    """Checks that the weight is there that an added leaf belongs to."""
    kind = find_added_leaf(path)
    layer, _ = layer_and_name(path, kind)
    assert any(re.fullmatch(f"{re.escape(layer)}/{kind.weight}", other) for other in paths), path


def test_an_unknown_leaf_has_no_neutral_value():
    assert not is_known("layers/mlp/up/misspelt")
    with pytest.raises(InputError, match=r"^layers/mlp/up/misspelt: this kind .* unknown"):
        neutral_leaf_value("layers/mlp/up/misspelt")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("layers/mlp/up/ia3", 1),
        ("layers/mlp/up/lora_a_start", 0),
        ("layers/mlp/up/vera_b", 0),
        ("prompt_encoder/first/kernel", 0),
    ],
)
def test_a_leaf_has_a_neutral_value_in_the_table_or_by_its_method(path, expected):
    assert neutral_leaf_value(path) == expected
    assert bool(find_intermediate_leaf(path)) == (expected == 0)


def test_of_two_updates_one_may_be_computed_and_the_other_not():
    kind = find_intermediate_leaf("layers/query/vera_d")
    paths = {"layers/query/kernel", "layers/key/kernel", "layers/key/lora_a"}
    assert not is_replaced("layers/query/vera_d", kind, paths)
    assert is_replaced("layers/key/vera_d", kind, paths)
    assert is_replaced("vera/a", kind, paths)
