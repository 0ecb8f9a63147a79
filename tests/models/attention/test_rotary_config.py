"""Reading and writing the rotary embedding of a config; tables agree with those of transformers."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from fsl_jax.errors import InputError
from fsl_jax.models.attention.rotary import rotary_tables
from fsl_jax.models.attention.rotary_config import rotary_json, rotary_scaling, rotary_values
from fsl_jax.models.config_reader import ConfigReader

LONGEST = 65_536
THETA = 5e5
LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192}
SETTINGS = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 3.0},
    "llama 3.1": {**LLAMA3, "factor": 8.0, "original_max_position_embeddings": 8192},
    "llama 3.2": {**LLAMA3, "factor": 32.0, "original_max_position_embeddings": 8192},
    "yarn": YARN,
    "yarn, its amplitude given": {**YARN, "attention_factor": 1.5},
    "yarn, by two scales": {**YARN, "mscale": 0.7, "mscale_all_dim": 0.4},
    "yarn, other limits": {**YARN, "beta_fast": 16.0, "beta_slow": 2.0, "truncate": False},
    "yarn, its limits in one place": {**YARN, "beta_fast": 1e-9, "beta_slow": 1e-9},
}


def read(values, theta=THETA):
    values = rotary_values(values)
    fields = ConfigReader("config.json", values)
    scaling = rotary_scaling(fields, values, LONGEST)
    fields.finish()
    return scaling


@pytest.mark.parametrize("name", SETTINGS)
def test_tables_are_those_of_transformers(name):
    """Also far along, where an error in a frequency counts most."""
    settings = {**SETTINGS[name], "rope_theta": THETA}
    config = transformers.LlamaConfig(
        hidden_size=256,
        num_attention_heads=2,
        max_position_embeddings=LONGEST,
        rope_parameters=dict(settings),
    )
    positions = np.array([[0, 1, 7, 1000, LONGEST - 1]], np.int32)
    expected = LlamaRotaryEmbedding(config)(torch.zeros(1), torch.tensor(positions))
    scaling = read({"rope_parameters": settings})
    tables = rotary_tables(jnp.asarray(positions), 128, THETA, scaling)
    for ours, theirs in zip(tables, expected, strict=True):
        # In transformers each angle is there twice.
        np.testing.assert_allclose(ours, theirs[:, :, :64].numpy(), atol=4e-7)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_written_are_the_settings_that_were_read(name):
    scaling = read({"rope_scaling": SETTINGS[name]})
    assert (scaling is None) == (name == "default")
    written = rotary_json(THETA, scaling)
    assert written["rope_theta"] == THETA
    assert read(written) == scaling


def test_settings_are_read_from_where_each_release_wrote_them():
    settings = {"factor": 4.0, "original_max_position_embeddings": 64}
    old = read({"rope_scaling": {"type": "yarn", **settings}})
    assert old == read({"rope_parameters": {"rope_type": "yarn", **settings}, "rope_scaling": None})
    assert old.original_length == 64


def test_a_factor_that_is_not_given_is_the_one_of_the_lengths():
    scaling = read({"rope_scaling": {"type": "yarn", "original_max_position_embeddings": 8192}})
    assert scaling.factor == 8
    assert scaling.amplitude == pytest.approx(0.1 * math.log(8) + 1)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"rope_type": "dynamic", "factor": 2.0}, "rope_type is 'dynamic'; expected"),
        ({"rope_type": "longrope"}, "rope_type is 'longrope'; expected"),
        ({"rope_type": "linear"}, "factor is missing"),
        ({**LLAMA3, "factor": -1.0}, "factor is -1.0"),
        ({"rope_type": "default", "partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
        ({"full_attention": {"rope_type": "default"}}, "rope_type is 'different in some layers'"),
        ({**YARN, "truncate": 1}, "truncate is 1; expected true or false"),
    ],
)
def test_what_is_not_supported_is_an_error(settings, problem):
    with pytest.raises(InputError, match=problem):
        read({"rope_parameters": settings})


def test_scaling_replaces_the_other_group_as_in_transformers():
    groups = {
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 500.0, "factor": 2.0},
        "rope_scaling": {"type": "linear", "factor": 4.0},
    }
    theirs = transformers.LlamaConfig(**{name: dict(group) for name, group in groups.items()})
    values = rotary_values({"rope_theta": 10_000.0, **groups})
    assert values["rope_theta"] == theirs.rope_parameters["rope_theta"] == 10_000.0
    assert read(groups).factor == theirs.rope_parameters["factor"] == 4.0
