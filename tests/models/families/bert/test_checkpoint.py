import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.checkpoints.head_tensors import tensor_map_of
from fsl_jax.models.families.bert.checkpoint import bert_config, bert_json, bert_tensor_map
from fsl_jax.models.families.registry import parameter_shapes

VALUES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
}


@pytest.mark.parametrize("tensors", [[], ["bert.pooler.dense.weight"]])
def test_there_is_a_name_for_each_leaf(tensors):
    config = bert_config("config.json", VALUES, tensors)
    assert config.has_pooler == bool(tensors)
    paths = [name.path for name in bert_tensor_map(config).rules]
    assert sorted(paths) == sorted(parameter_shapes(config))


@pytest.mark.parametrize("tensors", [[], ["bert.pooler.dense.weight"]])
def test_a_config_is_what_was_written_of_it(tensors):
    values = VALUES | {"type_vocab_size": 3, "layer_norm_eps": 1e-6}
    config = bert_config("config.json", values, tensors)
    assert values.items() <= bert_json(config).items()
    assert bert_config("config.json", bert_json(config), tensors) == config


def test_names_of_old_checkpoints_and_their_heads():
    table = tensor_map_of(bert_config("config.json", VALUES, []))
    old = "bert.encoder.layer.1.output.LayerNorm.gamma"
    assert table.canonical(old) == "encoder.layer.1.output.LayerNorm.weight"
    assert table.is_ignored("embeddings.position_ids")
    for name in ("predictions.bias", "predictions.decoder.weight", "seq_relationship.weight"):
        assert table.is_ignored(f"cls.{name}")
    assert not table.is_ignored("cls.other.weight")


def test_what_is_not_supported_is_told_at_once():
    values = VALUES | {"hidden_act": "relu", "position_embedding_type": "relative_key"}
    with pytest.raises(InputError) as error:
        bert_config("config.json", values | {"is_decoder": True, "vocab_size": None}, [])
    for part in (
        "'relu'; expected 'gelu'",
        "'relative_key'",
        "is_decoder",
        "vocab_size is missing",
    ):
        assert part in str(error.value)
