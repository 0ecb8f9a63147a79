"""The table of added leaves: which entry a path has, and what is known by it."""

import re

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.added_leaves import (
    ADDED_LEAVES,
    BIAS_REASON,
    PREFIX_REASON,
    Merging,
    find_added_leaf,
    layer_and_name,
    neutral_value,
)

CASES = {
    "head/bias": ("head", "bias", 0, Merging.STAYS),
    "layers/attention/query/lora_a": ("layers/attention/query", "lora_a", 0, Merging.UPDATE),
    "layers/mlp/up/lora_e": ("layers/mlp/up", "lora_e", 1, Merging.UPDATE),
    "layers/mlp/up/lora_norm": ("layers/mlp/up", "lora_norm", 0, Merging.LENGTH),
    "decoder/layers/mlp/up/ia3": ("decoder/layers/mlp/up", "ia3", 1, Merging.OUTPUT_FACTOR),
    "layers/mlp/up/ia3_in": ("layers/mlp/up", "ia3_in", 1, Merging.INPUT_FACTOR),
    "layers/attention/prefix_mask": ("layers/attention", "prefix_mask", 0, PREFIX_REASON),
    "layers/mlp/up/bias": ("layers/mlp/up", "bias", 0, BIAS_REASON),
}


@pytest.mark.parametrize(("path", "expected"), CASES.items())
def test_a_leaf_is_found_by_its_path(path, expected):
    kind = find_added_leaf(path)
    assert (*layer_and_name(path, kind), kind.neutral, kind.merging) == expected


def test_the_name_of_a_leaf_may_have_several_parts():
    path = "layers/mlp/adapter/parallel_relu/down_bias"
    layer, name = layer_and_name(path, find_added_leaf(path))
    assert (layer, name) == ("layers/mlp", "adapter/parallel_relu/down_bias")
    with pytest.raises(ValueError, match="is not of the kind"):
        layer_and_name("layers/mlp/up/ia3", find_added_leaf(path))


@pytest.mark.parametrize(
    "path", ["layers/mlp/up/lora", "layers/mlp/up/lora_a_start", "layers/mlp/up/ia3_out", "ia3"]
)
def test_an_unknown_leaf_is_an_error_that_names_it(path):
    assert find_added_leaf(path) is None
    with pytest.raises(InputError, match=f"^{path}: this kind of added leaf is unknown"):
        neutral_value(path)


def test_entries_do_not_overlap():
    for path in CASES:
        assert sum(bool(re.fullmatch(kind.pattern, path)) for kind in ADDED_LEAVES) <= (
            2 if path == "head/bias" else 1
        )


def test_what_cannot_be_merged_has_a_reason_that_is_a_sentence_part():
    reasons = [kind.merging for kind in ADDED_LEAVES if isinstance(kind.merging, str)]
    assert len(reasons) == len(set(reasons)) == 5
