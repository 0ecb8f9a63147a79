import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.bert.roberta import roberta_config, roberta_json, roberta_tensor_map
from fsl_jax.models.families.registry import parameter_shapes

VALUES = {
    "model_type": "roberta",
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 26,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
}
POOLER = ["roberta.pooler.dense.weight"]


@pytest.mark.parametrize("tensors", [[], POOLER])
def test_there_is_a_name_for_each_leaf(tensors):
    config = roberta_config("config.json", VALUES, tensors)
    assert config.has_pooler == bool(tensors)
    paths = [name.path for name in roberta_tensor_map(config).rules]
    assert sorted(paths) == sorted(parameter_shapes(config))


@pytest.mark.parametrize("padding", [0, 1, 3])
def test_positions_begin_after_the_padding(padding):
    config = roberta_config("config.json", VALUES | {"pad_token_id": padding}, [])
    assert config.first_position == padding + 1
    assert config.max_length == 25 - padding
    assert parameter_shapes(config)["embeddings/position/embedding"] == (26, 32)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
@pytest.mark.parametrize("padding", [0, 1])
def test_a_config_is_what_was_written_of_it(family, padding):
    values = VALUES | {"model_type": family, "pad_token_id": padding}
    config = roberta_config("config.json", values, POOLER)
    assert values.items() <= roberta_json(config).items()
    assert roberta_config("config.json", roberta_json(config), POOLER) == config


def test_a_table_without_room_for_positions_is_an_error():
    with pytest.raises(InputError, match="max_position_embeddings is 2; expected more than 2"):
        roberta_config("config.json", VALUES | {"max_position_embeddings": 2}, [])
