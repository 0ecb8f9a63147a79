"""A `config.json` of each family with values of other kinds, or with damaged bytes."""

import contextlib
import dataclasses
import functools
import json
import resource
import time
from pathlib import Path

import pytest
import transformers

from fsl_jax.errors import InputError
from fsl_jax.json_reader import parse_json
from fsl_jax.models.checkpoints.generation_config import end_tokens
from fsl_jax.models.checkpoints.head_config import label_names
from fsl_jax.models.checkpoints.head_tensors import tensor_map_of
from fsl_jax.models.families.registry import FAMILIES, parameter_shapes
from tests.plugins.fuzzing import read_damaged

KINDS = {
    "bert": transformers.BertConfig,
    "roberta": transformers.RobertaConfig,
    "xlm-roberta": transformers.XLMRobertaConfig,
    "distilbert": transformers.DistilBertConfig,
    "gpt2": transformers.GPT2Config,
    "llama": transformers.LlamaConfig,
    "mistral": transformers.MistralConfig,
    "qwen2": transformers.Qwen2Config,
    "qwen3": transformers.Qwen3Config,
    "gemma2": transformers.Gemma2Config,
    "gemma3_text": transformers.Gemma3TextConfig,
    "t5": transformers.T5Config,
    "mt5": transformers.MT5Config,
}
SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
}
YARN = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 12}
YARN |= {"beta_fast": 32.0, "beta_slow": 1.0, "attention_factor": 1.1, "truncate": True}
LLAMA3 = {"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
OTHER_FIELDS = {
    "rope_scaling": YARN,
    "rope_theta": 500.0,
    "rope_local_base_freq": 100.0,
    "sliding_window_pattern": 2,
    "max_window_layers": 1,
    "layer_types": ["full_attention", "full_attention"],
    "decoder_start_token_id": 0,
    "scale_decoder_outputs": True,
    "is_gated_act": False,
    "dense_act_fn": "relu",
    "id2label": {"0": "a", "1": "b"},
    "architectures": ["SomeModel"],
    "tie_word_embeddings": True,
}
WRONG = [
    None,
    True,
    -1,
    2**31 - 1,
    2**40,
    1.5,
    1e-300,
    1e300,
    "linear",
    "",
    [],
    [1],
    [None],
    {},
    [{}],
]
WRONG += [{"a": 1}, {"rope_type": []}, {"rope_type": {}}, ["full_attention", None]]


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor with nothing in it."""

    shape: tuple[int, ...]


def values_of(family):
    """A right config."""
    values = KINDS[family](**SIZES).to_dict() | {"model_type": family}
    values.pop("rope_parameters", None)
    shared = OTHER_FIELDS if "rope" in str(values) or "num_key_value_heads" in values else {}
    if "num_key_value_heads" in values:
        values |= {"num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 48}
    if family == "gemma3_text":
        shared = shared | {"rope_scaling": None}
    if family in ("t5", "mt5"):
        values |= {"d_kv": 8, "d_ff": 48}
    return json.loads(json.dumps(shared | values))


@functools.cache
def tensors_of(family):
    """The tensors of the checkpoint that the right config describes."""
    config = FAMILIES[family].config("config.json", values_of(family), [])
    shapes, tensors = parameter_shapes(config), {}
    for rule in tensor_map_of(config).rules:
        shape = shapes[rule.path]
        stacked = "{layer}" in rule.tensor
        for layer in range(shape[0] if stacked else 1):
            name = rule.tensor.format(layer=layer)
            tensors[name] = Tensor(rule.tensor_shape(shape[1:] if stacked else shape))
    return tensors


shapes_of = functools.cache(parameter_shapes)


def read(family, values, shapes=False):
    """Does what loading does with a config before it reads a weight."""
    config = FAMILIES[family].config("config.json", values, tensors_of(family))
    label_names("config.json", values, 2)
    end_tokens(Path(), values, {})
    if shapes:
        shapes_of(config)
    return config


def kind_of(value):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if number else type(value).__name__


def is_read(family, name):
    """True for a field that changes the config, or is refused."""
    plain, values = read(family, values_of(family)), values_of(family)
    try:
        return any(read(family, values | {name: wrong}) != plain for wrong in ({"a": 1}, []))
    except InputError:
        return True


def changed_fields(family):
    """Each field with each wrong value, and those inside the group of the rotary embedding.

    One reader reads this group for all families.
    """
    values = values_of(family)
    names = (values.keys() | OTHER_FIELDS.keys()) - {"model_type"}
    for name in sorted(name for name in names if is_read(family, name)):
        for wrong in WRONG:
            yield name, values.get(name), values | {name: wrong}
    if family == "llama":
        for group in (YARN, LLAMA3):
            for name in group:
                for wrong in WRONG:
                    yield name, group[name], values | {"rope_scaling": group | {name: wrong}}


# These read their configs as another family does.
SIMILAR = ("xlm-roberta", "mistral", "qwen2", "mt5")


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=[pytest.mark.soak] * (name in SIMILAR)) for name in KINDS],
)
def test_a_field_of_another_kind_is_an_error_that_names_it(family):
    """What is accepted has the kind that is right, or changes nothing."""
    plain, accepted, unnamed = read(family, values_of(family)), [], []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    for name, right, values in changed_fields(family):
        try:
            config = read(family, values)
        except InputError as error:
            names = (name, "rope_type") if name == "rope_scaling" else (name,)
            unnamed += [] if any(each in str(error) for each in names) else [(name, str(error))]
            continue
        wrong = values[name] if name in values else values["rope_scaling"][name]
        if config != plain and right is not None and wrong is not None:
            accepted.append((name, right, wrong))
    assert unnamed == []
    assert [case for case in accepted if kind_of(case[1]) != kind_of(case[2])] == []
    assert time.process_time() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


def read_bytes(data, shapes=False):
    """Reads a damaged config of any family, as far as `read` does."""
    values = parse_json(data, "config.json")
    family = values.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise InputError("config.json: model_type is unknown")
    return read(family, values, shapes)


def seeds():
    """A right config of each family, as the bytes of its file."""
    return [json.dumps(values_of(family), indent=1).encode() for family in KINDS]


def test_damaged_configs_are_read_or_refused():
    read_damaged(read_bytes, seeds())


@pytest.mark.soak
def test_many_damaged_configs_are_read_or_refused():
    """Also the shapes of their weights are made."""
    read_damaged(lambda data: read_bytes(data, shapes=True), seeds(), 20_000)


@pytest.mark.soak
@pytest.mark.parametrize("family", KINDS)
def test_the_shapes_of_what_is_accepted_take_little(family):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _, _, values in changed_fields(family):
        started = time.process_time()
        with contextlib.suppress(InputError):
            read(family, values, shapes=True)
        assert time.process_time() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 << 10


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("llama", "head_dim", 2**31 - 2),
        ("llama", "num_hidden_layers", 2**30),
        ("bert", "hidden_size", 2**30),
        ("t5", "num_decoder_layers", 10**6),
    ],
)
def test_a_size_is_held_against_the_tensors_first(family, name, value):
    with pytest.raises(InputError, match=f"{name} is {value}; expected at most") as error:
        read(family, values_of(family) | {name: value})
    assert len(str(error.value)) < 500


def test_a_size_that_nearly_fits_is_told_with_the_shapes():
    """The list of shapes says more than a limit does."""
    assert read("llama", values_of("llama") | {"vocab_size": 41}).vocab_size == 41


@pytest.mark.parametrize(
    ("family", "name", "aliases"),
    [
        ("llama", "hidden_act", ("silu", "swish")),
        ("bert", "hidden_act", ("gelu", "gelu_python")),
        ("gpt2", "activation_function", ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")),
        ("gemma2", "hidden_activation", ("gelu_pytorch_tanh", "gelu_accurate")),
        ("mt5", "feed_forward_proj", ("gated-gelu", "gated-gelu_new")),
        ("t5", "feed_forward_proj", ("gated-silu", "gated-swish")),
    ],
)
def test_a_function_may_have_any_of_its_names(family, name, aliases):
    values = values_of(family)
    for field in ("dense_act_fn", "is_gated_act"):
        values.pop(field, None)
    configs = {
        FAMILIES[family].config("config.json", values | {name: alias}, []) for alias in aliases
    }
    assert len(configs) == 1


@pytest.mark.parametrize("family", ["gpt2", "distilbert", "t5"])
def test_a_size_may_have_the_name_that_other_families_have(family):
    values = values_of(family)
    others = {other: name for name, other in KINDS[family].attribute_map.items()}
    renamed = {others.get(name, name): value for name, value in values.items()}
    assert renamed != values
    assert read(family, renamed) == read(family, values)
    other = next(other for name, other in others.items() if name in values)
    with pytest.raises(InputError, match=f"{other} is 7; expected "):
        read(family, values | {other: 7})
