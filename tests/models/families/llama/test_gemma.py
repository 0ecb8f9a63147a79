import pytest
import transformers

from fsl_jax.errors import InputError
from fsl_jax.models.attention.rotary import LinearScaling
from fsl_jax.models.families.llama.gemma import gemma2_config, gemma3_config

VALUES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
}


def test_defaults_are_those_of_hugging_face():
    theirs = transformers.Gemma2Config(**VALUES)
    ours = gemma2_config("config.json", VALUES, [])
    assert (ours.score_cap, ours.logit_cap) == (
        theirs.attn_logit_softcapping,
        theirs.final_logit_softcapping,
    )
    assert (ours.head_dim, ours.num_kv_heads) == (theirs.head_dim, theirs.num_key_value_heads)
    assert (ours.window, ours.max_length, ours.tied) == (4096, 8192, True)
    assert ours.query_scale == theirs.query_pre_attn_scalar**-0.5


def test_caps_that_are_null_are_none():
    values = VALUES | {"attn_logit_softcapping": None, "final_logit_softcapping": None}
    config = gemma2_config("config.json", values, [])
    assert config.score_cap is config.logit_cap is None


@pytest.mark.parametrize(
    ("read", "theirs"),
    [(gemma2_config, transformers.Gemma2Config), (gemma3_config, transformers.Gemma3TextConfig)],
)
def test_one_layer_in_two_or_six_has_no_window(read, theirs):
    kinds = theirs(**VALUES).layer_types
    sliding = tuple(kind == "sliding_attention" for kind in kinds)
    assert read("config.json", VALUES, []).sliding == sliding


@pytest.mark.parametrize(
    "rotary",
    [
        {
            "rope_theta": 9e5,
            "rope_local_base_freq": 2e4,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
        {
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 9e5},
                "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
            }
        },
    ],
)
def test_both_bases_are_read_from_where_each_release_wrote_them(rotary):
    config = gemma3_config("config.json", VALUES | rotary, [])
    assert (config.rope_theta, config.local_rope_theta) == (9e5, 2e4)
    assert config.rope_scaling == LinearScaling(8.0)


def test_bases_that_are_not_given_are_a_million_and_ten_thousand():
    config = gemma3_config("config.json", VALUES, [])
    assert (config.rope_theta, config.local_rope_theta) == (1e6, 1e4)
    assert config.rope_scaling is None


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention is True"),
        ({"hidden_activation": "silu"}, "hidden_activation is 'silu'"),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50.0"),
        ({"rope_parameters": {"rope_type": "default"}}, "rope_parameters is .'rope_type'."),
        (
            {"rope_parameters": {"sliding_attention": {"rope_type": "yarn"}}},
            "rope_type of the sliding layers is 'yarn'",
        ),
    ],
)
def test_what_is_not_supported_is_an_error(given, fault):
    with pytest.raises(InputError, match=fault):
        gemma3_config("config.json", VALUES | given, [])
