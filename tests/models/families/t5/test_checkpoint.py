"""The `config.json` of T5 and mT5, their tensor maps, and the sizes of FLAN-T5-XXL."""

import math

import jax
import pytest
from flax.traverse_util import flatten_dict
from jax.sharding import PartitionSpec

from fsl_jax.errors import InputError
from fsl_jax.models.families.registry import initialise, parameter_shapes
from fsl_jax.models.families.t5.checkpoint import t5_config, t5_json, t5_tensor_map
from fsl_jax.sharding import make_mesh, parameter_shardings, require_divided, run_shardings

VALUES = {
    "vocab_size": 40,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
}
OUTPUT = ["shared.weight", "lm_head.weight"]

FLAN_T5_XXL = {
    "model_type": "t5",
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_decoder_layers": 24,
    "num_heads": 64,
    "n_positions": 512,
    "relative_attention_num_buckets": 32,
    "feed_forward_proj": "gated-gelu",
    "is_encoder_decoder": True,
    "tie_word_embeddings": False,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
}


def config_of(values=(), tensors=()):
    return t5_config("config.json", VALUES | dict(values), tensors)


KINDS = {
    "t5": config_of({"num_decoder_layers": 3}),
    "t5 1.1": config_of({"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, OUTPUT),
    "flan-ul2": config_of({"feed_forward_proj": "gated-silu", "scale_decoder_outputs": False}),
    "mt5": config_of({"model_type": "mt5", "decoder_start_token_id": 3}, OUTPUT),
}


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_name_for_each_leaf(kind):
    table = t5_tensor_map(KINDS[kind])
    assert sorted(name.path for name in table.rules) == sorted(parameter_shapes(KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_config_that_we_write_is_read_as_it_was(kind):
    written, tensors = t5_json(KINDS[kind]), [] if KINDS[kind].tied else OUTPUT
    assert t5_config("config.json", written, tensors) == KINDS[kind]


def test_defaults_are_those_of_hugging_face():
    config = config_of()
    assert (config.num_decoder_layers, config.num_buckets, config.max_distance) == (2, 32, 128)
    assert (config.norm_epsilon, config.feed_forward, config.max_length) == (1e-6, "relu", 512)
    assert (config.tied, config.scaled, config.decoder_start_token) == (True, True, 0)
    multilingual = config_of({"model_type": "mt5"})
    assert (multilingual.feed_forward, multilingual.max_length) == ("gated-gelu", 1024)
    assert not multilingual.scaled


def test_the_decoder_begins_with_padding_unless_a_token_is_named():
    assert config_of({"pad_token_id": 7}).decoder_start_token == 7
    assert config_of({"pad_token_id": 7, "decoder_start_token_id": 2}).decoder_start_token == 2


@pytest.mark.parametrize(
    ("values", "tensors", "tied", "scaled"),
    [
        ({}, [], True, True),
        # A copy of the input embedding is left out before; this one has other numbers.
        ({"tie_word_embeddings": True}, OUTPUT, False, True),
        ({"tie_word_embeddings": False}, OUTPUT, False, False),
        # Release 5 of transformers says that all are tied, and beside it whether T5 1.1 is meant.
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, OUTPUT, False, False),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, [], True, False),
        ({"tie_word_embeddings": True, "model_type": "mt5"}, OUTPUT, False, False),
    ],
)
def test_the_output_embedding_is_as_each_release_means_it(values, tensors, tied, scaled):
    config = config_of(values, tensors)
    assert (config.tied, config.scaled) == (tied, scaled)


def test_what_is_not_supported_is_told_at_once():
    values = {"feed_forward_proj": "gated-relu", "is_encoder_decoder": False, "d_model": 0}
    with pytest.raises(InputError) as error:
        config_of(values)
    for field in values:
        assert field in str(error.value)
    with pytest.raises(InputError, match="dense_act_fn is 'gelu'; expected 'gelu_new'"):
        config_of({"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu"})


@pytest.mark.parametrize(
    ("name", "buckets", "distance"),
    [("num_buckets", 2, 128), ("max_distance", 32, 16), ("max_distance", 32, 2**31 - 1)],
)
def test_buckets_that_cannot_hold_the_distances_are_an_error(name, buckets, distance):
    values = {
        "relative_attention_num_buckets": buckets,
        "relative_attention_max_distance": distance,
    }
    with pytest.raises(InputError, match=f"relative_attention_{name} is "):
        config_of(values)


def test_a_start_that_the_decoder_does_not_embed_is_an_error():
    with pytest.raises(InputError, match=r"decoder_start_token_id is 40; expected less than 40"):
        config_of({"vocab_size": 40, "decoder_start_token_id": 40})


def test_flan_t5_xxl_has_its_size_and_is_divided_over_a_mesh():
    """11B, as its authors say (https://arxiv.org/abs/2210.11416).

    To the last one it is what KerasHub states of T5 1.1 XXL, which FLAN-T5 is tuned from:
    https://github.com/keras-team/keras-hub/blob/master/keras_hub/src/models/t5/t5_presets.py.
    """
    config = t5_config("config.json", FLAN_T5_XXL, OUTPUT)
    tree = jax.eval_shape(lambda: initialise(config, jax.random.key(0)))
    leaves = flatten_dict(tree, sep="/")
    assert sum(math.prod(leaf.shape) for leaf in leaves.values()) == 11_135_332_352
    mesh = make_mesh(runs=2, model=4)
    shardings = parameter_shardings(tree, mesh)
    require_divided(shardings, mesh)
    on_a_chip = sum(
        math.prod(sharding.shard_shape(leaves[path].shape))
        for path, sharding in flatten_dict(shardings, sep="/").items()
    )
    whole = sum(
        math.prod(leaf.shape) for path, leaf in leaves.items() if "norm" in path or "rel" in path
    )
    assert on_a_chip == (11_135_332_352 - whole) // 4 + whole
    runs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), tree)
    jax.tree.map(
        lambda run, base: run.spec == PartitionSpec("runs", *base.spec) or pytest.fail(str(base)),
        run_shardings(runs, mesh),
        shardings,
    )


def test_flan_t5_xxl_has_the_tensors_of_transformers():
    import torch
    import transformers

    config = transformers.T5Config(**FLAN_T5_XXL)
    with torch.device("meta"):
        model = transformers.T5ForConditionalGeneration(config)
    expected = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    expected["lm_head.weight"] = (32128, 4096)
    sizes = t5_config("config.json", FLAN_T5_XXL, OUTPUT)
    shapes, table = parameter_shapes(sizes), t5_tensor_map(sizes)
    found = {}
    for entry in table.rules:
        if "{layer}" in entry.tensor:
            layers, *shape = shapes[entry.path]
            for layer in range(layers):
                found[entry.tensor.format(layer=layer)] = entry.tensor_shape(tuple(shape))
        else:
            found[entry.tensor] = entry.tensor_shape(shapes[entry.path])
    assert found == expected
