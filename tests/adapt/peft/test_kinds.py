"""Damaged and hostile adapters of every kind are read or refused."""

import contextlib
import functools
import json

import jax
import numpy as np
import peft
import pytest
from etils import epath
from fuzzing import CASES, read_damaged

from fsl_jax.adapt.files.adapter_leaves import trained_leaves
from fsl_jax.adapt.methods.registry import parse_method
from fsl_jax.adapt.peft.kinds import KINDS, kind_of_config, kind_of_method
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.json_reader import parse_json
from fsl_jax.models.tensors.tensor_files import decode_tensors, encode_tensors

METHODS = {
    "LORA": "lora(2)",
    "ADALORA": "adalora(3, target_rank=2)",
    "VERA": "vera(2)",
    "IA3": "ia3",
    "LN_TUNING": "ln_tuning",
    "PROMPT_TUNING": "prompt_tuning(2)",
    "P_TUNING": "p_tuning(2, hidden=8)",
    "PREFIX_TUNING": "p_tuning_v2(2)",
}
MORE = {
    "LORA": {
        "rank_pattern": {r"0\..*q_proj": 2},
        "alpha_pattern": {"v_proj": 2.5},
        "exclude_modules": "x+",
        "layers_pattern": "layers",
        "layers_to_transform": [0, 1, 2],
        "modules_to_save": ["model.norm"],
        "task_type": "CAUSAL_LM",
    },
    "IA3": {"exclude_modules": ["x"]},
}


@pytest.fixture
def files(llama):
    """Makes the config and the tensors of a sound adapter of a kind, as PEFT has them."""

    def make(name, text="", more=True):
        method = parse_method(text or METHODS[name])
        params = method.extend(llama.params, jax.random.key(0))
        added = flatten(params).keys() - flatten(llama.params).keys()
        if name == "LN_TUNING":
            added = [path for path in flatten(params) if path.endswith("norm/scale")]
        kept = method.finish(unflatten({path: flatten(params)[path] for path in added}))
        leaves = trained_leaves(kept, method)
        tensors, values = kind_of_method(method, leaves, llama.config).write(leaves, method, llama)
        values |= MORE.get(name, {}) if more else {}
        if values.get("modules_to_save"):
            tensors["base_model.model.model.norm.weight"] = np.ones(16, np.float32)
        return values, tensors

    return make


def read(values, tensors, base):
    kind = kind_of_config(values)
    if kind is None:
        raise InputError("unknown kind")
    return kind.read(values, tensors, base, "adapter")


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("LORA", CASES),
        ("PREFIX_TUNING", CASES // 4),
        *(pytest.param(name, 20 * CASES, marks=pytest.mark.soak) for name in METHODS),
    ],
)
def test_damaged_configs_are_read_or_refused(llama, files, name, cases):
    values, tensors = files(name)

    def read_config(data):
        read(parse_json(data, "adapter_config.json"), tensors, llama)

    read_damaged(read_config, [json.dumps(values).encode()], cases)


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("LORA", CASES),
        *(pytest.param(name, 20 * CASES, marks=pytest.mark.soak) for name in METHODS),
    ],
)
def test_damaged_tensors_are_read_or_refused(llama, files, name, cases):
    values, tensors = files(name)

    def read_tensors(data):
        read(values, decode_tensors(data, epath.Path("adapter_model.safetensors")), llama)

    read_damaged(read_tensors, [encode_tensors(tensors)], cases)


@pytest.mark.parametrize("name", METHODS)
def test_a_signalling_nan_is_read_without_a_warning(llama, files, name):
    values, tensors = files(name)
    tensors = {path: np.array(tensor) for path, tensor in tensors.items()}
    for tensor in tensors.values():
        tensor.reshape(-1).view(np.uint32)[0] = 0x7F8181B5
    # Warnings are errors in tests, and any other error would end the test.
    with contextlib.suppress(InputError):
        read(values, decode_tensors(encode_tensors(tensors), epath.Path("a.safetensors")), llama)


HOSTILE = [10**9, 10**18, -1, 0, True, 1.5, float("nan"), float("inf"), "8", None, [], {}, [[1]]]
CATASTROPHIC = "(.|.|..|l)*[!?]#?"


@pytest.mark.parametrize("name", METHODS)
def test_hostile_values_of_any_field_are_read_or_refused(llama, files, name):
    values, tensors = files(name)
    for field in sorted(values):
        for value in [*HOSTILE, [CATASTROPHIC], {CATASTROPHIC: 2}, CATASTROPHIC]:
            # Any other error would end the test.
            with contextlib.suppress(InputError):
                read(values | {field: value}, tensors, llama)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("LORA", "target_modules", CATASTROPHIC),
        ("LORA", "exclude_modules", CATASTROPHIC),
        ("LORA", "layers_pattern", CATASTROPHIC),
        ("LORA", "rank_pattern", {CATASTROPHIC: 2}),
        ("LORA", "alpha_pattern", {CATASTROPHIC: 2}),
        ("IA3", "feedforward_modules", CATASTROPHIC),
        ("LN_TUNING", "target_modules", CATASTROPHIC),
    ],
)
def test_patterns_that_take_forever_are_named(llama, files, name, field, value):
    values, tensors = files(name)
    if field == "target_modules":
        values |= {"layers_to_transform": None, "layers_pattern": None}
    with pytest.raises(InputError, match=r"\(\.\|\.\|\.\.\|l\)\*.* takes more than"):
        read(values | {field: value}, tensors, llama)


CONFIGS = {
    "LORA": peft.LoraConfig,
    "ADALORA": functools.partial(peft.AdaLoraConfig, total_step=10),
    "VERA": peft.VeraConfig,
    "IA3": peft.IA3Config,
    "LN_TUNING": peft.LNTuningConfig,
    "PROMPT_TUNING": peft.PromptTuningConfig,
    "P_TUNING": peft.PromptEncoderConfig,
    "PREFIX_TUNING": peft.PrefixTuningConfig,
}


@pytest.mark.parametrize("name", METHODS)
def test_every_field_at_pefts_default_is_accepted(llama, files, name):
    values, tensors = files(name)
    defaults = json.loads(json.dumps(CONFIGS[name]().to_dict(), default=str))
    kept = {field: values[field] for field in values if defaults.get(field) != values[field]}
    read(defaults | kept, tensors, llama)
    assert {kind.peft_type for kind in KINDS} == set(METHODS)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("LORA", {"r": 8, "lora_alpha": 8}),
        ("ADALORA", {"init_r": 12, "lora_alpha": 8}),
        ("VERA", {"r": 256}),
    ],
)
def test_missing_sizes_are_those_that_peft_takes(llama, files, name, fields):
    method = {"LORA": "lora(8, 8)", "ADALORA": "adalora(12, alpha=8)", "VERA": "vera(256)"}[name]
    values, tensors = files(name, method, more=False)
    expected, leaves = read(values, tensors, llama)
    assert {field: values[field] for field in fields} == fields
    short = {field: value for field, value in values.items() if field not in fields}
    found, again = read(short, tensors, llama)
    assert found == expected
    assert all(np.array_equal(leaves[path], again[path]) for path in leaves)
