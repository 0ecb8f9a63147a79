import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.gpt2.checkpoint import gpt2_config, gpt2_json, gpt2_tensor_map
from fsl_jax.models.families.registry import parameter_shapes

VALUES = {
    "model_type": "gpt2",
    "vocab_size": 40,
    "n_embd": 32,
    "n_inner": 48,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 24,
}


@pytest.mark.parametrize("tied", [True, False])
def test_there_is_a_name_for_each_leaf(tied):
    config = gpt2_config("config.json", VALUES | {"tie_word_embeddings": tied}, [])
    paths = [name.path for name in gpt2_tensor_map(config).rules]
    assert sorted(paths) == sorted(parameter_shapes(config))


@pytest.mark.parametrize("tied", [True, False])
def test_a_config_is_what_was_written_of_it(tied):
    values = VALUES | {"tie_word_embeddings": tied, "layer_norm_epsilon": 1e-6}
    config = gpt2_config("config.json", values, [])
    assert values.items() <= gpt2_json(config).items()
    assert gpt2_config("config.json", gpt2_json(config), []) == config


def test_the_width_inside_is_four_times_the_models_unless_named():
    assert gpt2_config("config.json", VALUES | {"n_inner": None}, []).mlp_size == 128


def test_what_is_not_supported_is_told_at_once():
    values = VALUES | {"activation_function": "relu", "scale_attn_by_inverse_layer_idx": True}
    with pytest.raises(InputError) as error:
        gpt2_config("config.json", values | {"add_cross_attention": True}, [])
    for part in ("'relu'; expected 'gelu_new'", "inverse_layer_idx is True", "cross_attention"):
        assert part in str(error.value)
