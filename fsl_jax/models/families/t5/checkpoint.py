"""Hugging Face's T5 and mT5 checkpoints: the sizes in `config.json`, and the tensor maps."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.activations import SILU, TANH_GELU
from fsl_jax.models.families.t5.config import FEED_FORWARDS, T5Config
from fsl_jax.models.tensors.module_rules import (
    OUTPUT,
    dense_rules,
    embedding_rules,
    norm_rules,
    output_rules,
)
from fsl_jax.models.tensors.tensor_map import TensorMap, TensorRule
from fsl_jax.models.tensors.ties import Tie, Ties

# Defaults of config.json. mT5 was trained on 1024 tokens: https://arxiv.org/abs/2010.11934.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "t5": {"feed_forward_proj": "relu", "n_positions": 512},
    "mt5": {"feed_forward_proj": "gated-gelu", "n_positions": 1024},
}
_ARCHITECTURES = {"t5": "T5ForConditionalGeneration", "mt5": "MT5ForConditionalGeneration"}
# In these configs, GELU means its tanh approximation.
_ACTIVATIONS = {"relu": ("relu",), "gated-gelu": TANH_GELU, "gated-silu": SILU}
_ALIASES = {
    "d_model": "hidden_size",
    "num_heads": "num_attention_heads",
    "num_layers": "num_hidden_layers",
    "d_kv": "head_dim",
}
# transformers ties these in every model, whatever its config says.
TIES = Ties(
    (
        Tie("encoder.embed_tokens.weight", "shared.weight", may_differ=False),
        Tie("decoder.embed_tokens.weight", "shared.weight", may_differ=False),
        Tie(OUTPUT, "shared.weight"),
    ),
    prefix="transformer.",
    always=True,
)
# A table has two entries for each distance up to the largest one.
_MAX_DISTANCE = 2**16
_MIN_BUCKETS = 4


def t5_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> T5Config:
    """Read the sizes of a T5 or mT5 checkpoint.

    Args:
      source: the config's file, for errors.
      values: the values of `config.json`.
      tensors: the names of the checkpoint's tensors.

    Returns:
      The config.

    Raises:
      InputError: sizes are missing, or the checkpoint needs something that is not supported.
    """
    family = values.get("model_type", "t5")
    values = _DEFAULTS[family] | {
        name: value for name, value in values.items() if value is not None
    }
    reader = ConfigReader(source, values, tensors, _ALIASES)
    feed_forward = _feed_forward(reader, values["feed_forward_proj"])
    # If transformers saves only the encoder, the config says that there is no decoder.
    alone = bool(tensors) and not any("decoder." in name for name in tensors)
    reader.expect("is_encoder_decoder", True, *((False,) if alone else ()))
    # Before release 5 of transformers, hidden states are scaled if the embeddings are tied.
    is_tied = reader.flag("tie_word_embeddings", True)
    scaled = reader.flag("scale_decoder_outputs", is_tied) and family == "t5"
    layers = reader.layers("num_layers")
    buckets = reader.size("relative_attention_num_buckets", 32)
    sizes: dict[str, Any] = {
        "vocab_size": reader.size("vocab_size"),
        "hidden_size": reader.size("d_model"),
        "mlp_size": reader.size("d_ff"),
        "num_layers": layers,
        "num_decoder_layers": reader.layers("num_decoder_layers", layers),
        "num_heads": reader.size("num_heads"),
        "head_dim": reader.size("d_kv"),
        "max_length": reader.integer("n_positions"),
        "num_buckets": buckets,
        "max_distance": _max_distance(reader, buckets),
        "norm_epsilon": reader.number("layer_norm_epsilon", 1e-6),
        "decoder_start_token": _decoder_start(reader, values),
    }
    reader.finish()
    return T5Config(
        **sizes,
        feed_forward=feed_forward,
        # In release 5 every config says that the embeddings are tied, so look at the weights.
        tied=OUTPUT not in tensors,
        scaled=scaled,
        family=family,
    )


def _feed_forward(reader: ConfigReader, value: Any) -> str:
    """Return the kind of multilayer perceptron, one of `FEED_FORWARDS`."""
    reader.expect("is_decoder", False)
    for kind, names in _ACTIVATIONS.items():
        gate = "gated-" if kind.startswith("gated-") else ""
        if value in (kind, *(f"{gate}{name}" for name in names)):
            reader.expect("dense_act_fn", *names)
            reader.expect("is_gated_act", bool(gate))
            return kind
    reader.expect("feed_forward_proj", *FEED_FORWARDS)
    return FEED_FORWARDS[0]


def _max_distance(reader: ConfigReader, buckets: int) -> int:
    """Return the distance from which all tokens share the last bucket."""
    distance = reader.integer("relative_attention_max_distance", 128, _MAX_DISTANCE)
    if buckets < _MIN_BUCKETS:
        reader.problem("relative_attention_num_buckets", buckets, f"{_MIN_BUCKETS} or more")
    elif distance <= buckets // 2:
        reader.problem(
            "relative_attention_max_distance",
            distance,
            f"more than {buckets // 2}, half the buckets",
        )
    return distance


def _decoder_start(reader: ConfigReader, values: Mapping[str, Any]) -> int:
    name = "decoder_start_token_id" if "decoder_start_token_id" in values else "pad_token_id"
    token, rows = reader.count(name, 0), reader.size("vocab_size")
    if token >= rows > 1:
        reader.problem(name, token, f"less than {rows}, the vocab_size")
    return token


def t5_json(config: T5Config) -> dict[str, Any]:
    """Return the values of `config.json` for a T5 or mT5 model."""
    return {
        "architectures": [_ARCHITECTURES[config.family]],
        "model_type": config.family,
        "vocab_size": config.vocab_size,
        "d_model": config.hidden_size,
        "d_ff": config.mlp_size,
        "num_layers": config.num_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "num_heads": config.num_heads,
        "d_kv": config.head_dim,
        "n_positions": config.max_length,
        "feed_forward_proj": config.feed_forward,
        "relative_attention_num_buckets": config.num_buckets,
        "relative_attention_max_distance": config.max_distance,
        "layer_norm_epsilon": config.norm_epsilon,
        "decoder_start_token_id": config.decoder_start_token,
        "is_encoder_decoder": True,
        "tie_word_embeddings": config.tied,
        **({"scale_decoder_outputs": config.scaled} if config.family == "t5" else {}),
    }


def t5_tensor_map(config: T5Config) -> TensorMap:
    """Return the tensor map of a T5 or mT5 checkpoint."""
    return TensorMap(
        rules=(
            *embedding_rules({"shared": "embeddings/word"}),
            *_stack_rules(config, "encoder", {"SelfAttention": "attention"}),
            *_stack_rules(
                config,
                "decoder",
                {"SelfAttention": "attention", "EncDecAttention": "cross_attention"},
            ),
            *output_rules(config.tied),
        ),
        prefix="transformer.",
        # Unused relative positions, which some checkpoints have.
        ignored=(r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",),
    )


def _stack_rules(
    config: T5Config, stack: str, attentions: Mapping[str, str]
) -> Iterator[TensorRule]:
    """Return the rules of a stack, whose first layer has the relative positions for all layers."""
    first = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias"
    yield from embedding_rules({first: f"{stack}/relative_position"})
    yield from norm_rules({f"{stack}.final_layer_norm": f"{stack}/final_norm"}, bias=False)
    gated = config.feed_forward.startswith("gated-")
    mlp = {"wi_0": "gate", "wi_1": "up", "wo": "down"} if gated else {"wi": "up", "wo": "down"}
    projections = {"q": "query", "k": "key", "v": "value", "o": "output"}
    parts = [(name, path, projections) for name, path in attentions.items()]
    for number, (module, path, maps) in enumerate([*parts, ("DenseReluDense", "mlp", mlp)]):
        layer = f"{stack}.block.{{layer}}.layer.{number}"
        inside = f"{stack}/layers/{path}"
        yield from norm_rules({f"{layer}.layer_norm": f"{inside}/norm"}, bias=False)
        dense = {f"{layer}.{module}.{name}": f"{inside}/{leaf}" for name, leaf in maps.items()}
        yield from dense_rules(dense, bias=False)


def t5_heads(config: T5Config) -> dict[str, TensorMap]:
    """Return the tensor maps of the heads that a T5 or mT5 checkpoint may have, by kind of head."""
    classifier = {
        "classification_head.dense": "classifier/dense",
        "classification_head.out_proj": "classifier/output",
    }
    return {
        "sequence_classification": TensorMap(dense_rules(classifier)),
        "token_classification": TensorMap(dense_rules({"classifier": "classifier/output"})),
    }
