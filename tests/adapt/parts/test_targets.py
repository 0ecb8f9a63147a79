"""The linear layers that a setting names."""

import pytest

from fsl_jax.adapt.parts.targets import target_layers
from fsl_jax.errors import InputError

PATHS = (
    "layers/attention/query/kernel",
    "layers/attention/query/bias",
    "layers/mlp/up/kernel",
    "unembedding/kernel",
    "head/kernel",
)


def test_layers_are_found_by_their_paths():
    assert target_layers("lora's targets", "query$", PATHS) == ["layers/attention/query"]
    assert target_layers("lora's targets", ".", PATHS) == [
        "layers/attention/query",
        "layers/mlp/up",
    ]


def test_what_names_none_shows_the_layers_there_are():
    with pytest.raises(InputError, match=r"(?s)vera's targets 'down' match none.*layers/mlp/up"):
        target_layers("vera's targets", "down", PATHS)
