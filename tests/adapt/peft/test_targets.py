"""The layers that the config of an adapter names. PEFT's own matching is the reference."""

import types

import pytest
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from fsl_jax.adapt.peft.lora_config import read_config
from fsl_jax.adapt.peft.modules import AdaptedModule, PeftModule, linear_layers
from fsl_jax.adapt.peft.targets import (
    find_adapted,
    layers_setting,
    read_targets,
    target_problems,
)

NAMES = [
    *(f"encoder.layer.{i}.attention.self.{end}" for i in range(12) for end in ("query", "key")),
    *(f"bert.encoder.layer.{i}.output.dense" for i in range(3)),
    *(f"layers.{i}.self_attn.q_proj" for i in range(3)),
    *(f"model.layers.{i}.mlp.experts.{j}.up" for i in range(3) for j in range(3)),
    *(f"decoder.block.{i}.layer.{j}.DenseReluDense.wi" for i in range(3) for j in range(3)),
    "pooler.dense",
    "query",
]


@pytest.mark.parametrize(
    "values",
    [
        {"target_modules": ["query"]},
        {"target_modules": ["query", "dense"], "exclude_modules": ["1.output.dense", "query"]},
        {"target_modules": ["self.query"], "exclude_modules": r".*layer\.[13-9]\..*"},
        {"target_modules": r".*layer\.(0|11)\.attention\.self\.(query|key)"},
        {"target_modules": "query"},
        {"target_modules": r".*", "exclude_modules": r".*dense"},
        {"target_modules": ["query", "q_proj", "dense", "wi", "up"], "layers_to_transform": [1]},
        {"target_modules": ["query", "pooler.dense"], "layers_to_transform": 2},
        {
            "target_modules": ["up", "key"],
            "layers_to_transform": [0, 2],
            "layers_pattern": "layers",
        },
        {"target_modules": ["up", "wi"], "layers_to_transform": [1], "layers_pattern": ["experts"]},
        {"target_modules": ["wi"], "layers_to_transform": [2], "layers_pattern": ["x", "block"]},
        {"target_modules": ["wi", "key"], "layers_to_transform": [1], "layers_pattern": "(l)ayer"},
        {"target_modules": ["query"], "layers_to_transform": [], "layers_pattern": []},
        {"target_modules": ["encoder.layer.3.attention.self.key"], "layers_to_transform": [1]},
    ],
)
def test_the_same_layers_are_adapted_as_in_peft(values):
    fields = ("exclude_modules", "layers_to_transform", "layers_pattern", "target_parameters")
    config = types.SimpleNamespace(**(dict.fromkeys(fields) | values))
    expected = {
        name
        for name in NAMES
        if (found := check_target_module_exists(config, name))
        and bool(found)
        # What is excluded is an object of its own.
        and "Excluded" not in type(found).__name__
    }
    targets = read_targets(values)
    assert {name for name in NAMES if targets.has(name)} == expected
    assert target_problems(values) == []


@pytest.mark.parametrize(
    "patterns",
    [
        {"query": 4, r"layer\.1\.attention\.self\.query": 5},
        {r"layer\.1.*query": 5, "self.query": 4},
        {"^encoder.*key": 7, "key": 3},
        {"ery": 9, r"model\.layers\.\d": 2, r"experts\.[12]\.up|dense": 6},
    ],
)
def test_patterns_give_the_ranks_that_they_give_in_peft(patterns):
    values = {"r": 2, "lora_alpha": 16, "target_modules": [], "rank_pattern": patterns}
    lora = read_config(values | {"alpha_pattern": patterns})
    for name in NAMES:
        key = get_pattern_key(patterns.keys(), name)
        assert lora.rank_of(name) == patterns.get(key, 2), name
        assert lora.alpha_of(name) == patterns.get(key, 16), name


def test_a_pattern_beside_numbers_of_layers_is_refused_as_in_peft():
    values = {"target_modules": ".*query", "layers_to_transform": [1]}
    assert "beside target_modules that are a regular expression" in target_problems(values)[0]


@pytest.mark.parametrize("before", ["", "bert."])
def test_names_are_those_of_the_model_that_was_adapted(bert, before):
    """BERT's classes with a head put their own prefix before the names of the encoder."""
    whole = rf"{before}encoder\.layer\.[02]\.attention\.self\.query"
    name = f"base_model.model.{before}encoder.layer.0.attention.self.query.lora_A.weight"
    modules = linear_layers(bert.config)
    targets = read_targets({"target_modules": whole})
    adapted, found = find_adapted([name], bert, modules, targets)
    assert found == []
    assert [each.module.path for each in adapted] == ["layers/attention/query"]
    assert [index for _, index in adapted[0].named_copies()] == [(0,), (2,)]
    assert layers_setting(adapted) == "0,2"


def test_the_setting_of_layers_is_all_where_kinds_differ():
    def adapted(*chosen, copies=3):
        names = tuple("x" if number in chosen else None for number in range(copies or 1))
        return AdaptedModule(PeftModule("x", "x", copies), names)

    assert layers_setting([adapted(0, 2), adapted(0, 2)]) == "0,2"
    assert layers_setting([adapted(0, 1, 2), adapted(0, 1, copies=2)]) == "all"
    assert layers_setting([adapted(0), adapted(1)]) == "all"
    assert layers_setting([adapted(1), adapted(0, copies=None)]) == "all"
