import dataclasses

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.llama.checkpoint import llama_config, llama_tensor_map, mistral_config
from fsl_jax.models.families.registry import parameter_shapes

VALUES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


@pytest.mark.parametrize("tied", [True, False])
def test_there_is_a_name_for_each_leaf(tied):
    config = llama_config("config.json", VALUES | {"tie_word_embeddings": tied}, [])
    paths = [name.path for name in llama_tensor_map(config).rules]
    assert sorted(paths) == sorted(parameter_shapes(config))


def test_defaults_are_those_of_hugging_face():
    config = llama_config("config.json", VALUES, [])
    assert (config.num_kv_heads, config.head_dim, config.max_length) == (4, 8, 2048)
    assert (config.rope_theta, config.norm_epsilon, config.tied) == (10_000.0, 1e-6, False)


@pytest.mark.parametrize(
    "rotary",
    [
        {"rope_theta": 5e5},
        {"rope_theta": 5e5, "rope_scaling": None},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
    ],
)
def test_the_rotary_base_is_read_from_where_each_release_wrote_it(rotary):
    assert llama_config("config.json", VALUES | rotary, []).rope_theta == 5e5


def test_what_is_not_supported_is_told_at_once():
    values = VALUES | {
        "attention_bias": "some",
        "hidden_act": "gelu",
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
    }
    with pytest.raises(InputError) as error:
        llama_config("config.json", values, [])
    for field in ("attention_bias", "rope_type", "hidden_act"):
        assert field in str(error.value)


def test_the_second_norm_is_another_one_where_updates_are_normalised():
    plain = llama_config("config.json", VALUES, [])
    both = dataclasses.replace(plain, post_norms=True)
    name = "model.layers.{layer}.post_attention_layernorm.weight"
    paths = [
        {entry.tensor: entry.path for entry in llama_tensor_map(config).rules}[name]
        for config in (plain, both)
    ]
    assert paths == ["layers/mlp/norm/scale", "layers/attention/post_norm/scale"]


def test_there_is_a_name_for_each_leaf_that_another_config_has():
    plain = llama_config("config.json", VALUES | {"attention_bias": True, "mlp_bias": True}, [])
    config = dataclasses.replace(plain, post_norms=True, query_key_norm=True)
    paths = [name.path for name in llama_tensor_map(config).rules]
    assert sorted(paths) == sorted(parameter_shapes(config))


@pytest.mark.parametrize(
    ("given", "window"), [({}, 4096), ({"sliding_window": None}, None), ({"sliding_window": 7}, 7)]
)
def test_all_layers_of_mistral_have_a_window_or_none_has(given, window):
    config = mistral_config("config.json", VALUES | {"num_key_value_heads": 2} | given, [])
    assert config.window == window
    assert config.sliding == ((True, True) if window else ())
