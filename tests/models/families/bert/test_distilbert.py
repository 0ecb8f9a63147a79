import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.bert.distilbert import (
    distilbert_config,
    distilbert_json,
    distilbert_tensor_map,
)
from fsl_jax.models.families.registry import parameter_shapes

VALUES = {
    "model_type": "distilbert",
    "vocab_size": 40,
    "dim": 32,
    "hidden_dim": 48,
    "n_layers": 2,
    "n_heads": 4,
    "max_position_embeddings": 24,
}


def test_there_is_a_name_for_each_leaf():
    config = distilbert_config("config.json", VALUES, [])
    paths = [name.path for name in distilbert_tensor_map(config).rules]
    assert sorted(paths) == sorted(parameter_shapes(config))


def test_a_config_is_what_was_written_of_it():
    config = distilbert_config("config.json", VALUES, [])
    assert VALUES.items() <= distilbert_json(config).items()
    assert distilbert_config("config.json", distilbert_json(config), []) == config


def test_what_is_not_supported_is_told_at_once():
    values = VALUES | {"activation": "relu", "dim": None}
    with pytest.raises(InputError) as error:
        distilbert_config("config.json", values, [])
    assert "'relu'; expected 'gelu'" in str(error.value)
    assert "dim is missing" in str(error.value)
