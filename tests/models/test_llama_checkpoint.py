import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families import parameter_shapes
from fsl_jax.models.llama_checkpoint import llama_config, llama_names

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
    paths = [name.path for name in llama_names(config).names]
    assert sorted(paths) == sorted(parameter_shapes(config))
    assert llama_names(config).is_ignored("lm_head.weight") == tied


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


@pytest.mark.parametrize(
    "rotary",
    [
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 5e5}},
    ],
)
def test_a_scaled_rotary_embedding_is_an_error(rotary):
    with pytest.raises(InputError, match=r"rope_type is '(linear|llama3|yarn)'; expected"):
        llama_config("config.json", VALUES | rotary, [])


def test_what_is_not_supported_is_told_at_once():
    values = VALUES | {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"}
    with pytest.raises(InputError) as error:
        llama_config("config.json", values, [])
    for field in ("attention_bias", "mlp_bias", "hidden_act"):
        assert field in str(error.value)
