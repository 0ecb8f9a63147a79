import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.families.llama.qwen import qwen2_config, qwen2_json, qwen3_config

VALUES = {
    "vocab_size": 40,
    "hidden_size": 64,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 32,
}


def test_windows_count_only_where_the_config_uses_them():
    values = VALUES | {"sliding_window": 7, "max_window_layers": 1}
    assert qwen2_config("config.json", values, []).window is None
    config = qwen2_config("config.json", values | {"use_sliding_window": True}, [])
    assert (config.window, config.sliding) == (7, (False, True, True))
    assert qwen2_json(config)["max_window_layers"] == 1


def test_kinds_of_layers_can_be_given_one_by_one():
    kinds = ["sliding_attention", "full_attention", "full_attention"]
    values = VALUES | {"layer_types": kinds, "sliding_window": 7, "use_sliding_window": True}
    assert qwen3_config("config.json", values, []).sliding == (True, False, False)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"layer_types": ["chunked_attention"] * 3}, "layer_types is 'chunked_attention'"),
        ({"layer_types": ["full_attention"]}, "one for each of 3 layers"),
        ({"layer_types": ["sliding_attention"] * 3}, "sliding_window is missing"),
    ],
)
def test_kinds_of_layers_that_cannot_be_are_errors(given, fault):
    with pytest.raises(InputError, match=fault):
        qwen2_config("config.json", VALUES | given, [])


def test_heads_of_keys_that_are_null_are_as_many_as_heads():
    assert qwen2_config("config.json", VALUES, []).num_kv_heads == 32
    values = VALUES | {"num_attention_heads": 4, "num_key_value_heads": None}
    assert qwen2_config("config.json", values, []).num_kv_heads == 4


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"window": 3, "sliding": (True,)}, "there are 2 layers, and 1"),
        ({"sliding": (True, False)}, "a sliding window of no length"),
    ],
)
def test_a_config_that_contradicts_itself_is_an_error(given, fault):
    with pytest.raises(InputError, match=fault):
        LlamaConfig(40, 32, 48, 2, 4, 2, head_dim=8, max_length=8, **given)
