"""Hugging Face's T5 and mT5 checkpoints: the sizes in `config.json`, and the tensor maps."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.t5.config import FEED_FORWARDS, T5Config
from fsl_jax.models.tensors.module_rules import (
    dense_rules,
    embedding_rules,
    norm_rules,
    output_rules,
)
from fsl_jax.models.tensors.tensor_map import TensorMap, TensorRule

# Defaults of config.json. mT5 was trained on 1024 tokens: https://arxiv.org/abs/2010.11934.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "t5": {"feed_forward_proj": "relu", "n_positions": 512},
    "mt5": {"feed_forward_proj": "gated-gelu", "n_positions": 1024},
}
_ARCHITECTURES = {"t5": "T5ForConditionalGeneration", "mt5": "MT5ForConditionalGeneration"}
# In these configs, GELU means its tanh approximation.
_ACTIVATIONS = {"relu": "relu", "gated-gelu": "gelu_new", "gated-silu": "silu"}


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
    reader = ConfigReader(source, values)
    _expect_supported(reader, values["feed_forward_proj"])
    # If transformers saves only the encoder, the config says that there is no decoder.
    alone = bool(tensors) and not any("decoder." in name for name in tensors)
    reader.expect("is_encoder_decoder", True, *((False,) if alone else ()))
    # Before release 5 of transformers, hidden states are scaled if the embeddings are tied.
    is_tied = values.get("tie_word_embeddings", True)
    scaled = family == "t5" and bool(values.get("scale_decoder_outputs", is_tied))
    layers = reader.integer("num_layers")
    sizes: dict[str, Any] = {
        "vocab_size": reader.integer("vocab_size"),
        "hidden_size": reader.integer("d_model"),
        "mlp_size": reader.integer("d_ff"),
        "num_layers": layers,
        "num_decoder_layers": reader.integer("num_decoder_layers", layers),
        "num_heads": reader.integer("num_heads"),
        "head_dim": reader.integer("d_kv"),
        "max_length": reader.integer("n_positions"),
        "num_buckets": reader.integer("relative_attention_num_buckets", 32),
        "max_distance": reader.integer("relative_attention_max_distance", 128),
        "norm_epsilon": reader.number("layer_norm_epsilon", 1e-6),
        "decoder_start_token": reader.count(
            "decoder_start_token_id", values.get("pad_token_id", 0)
        ),
    }
    reader.finish()
    return T5Config(
        **sizes,
        feed_forward=values["feed_forward_proj"],
        # In release 5 every config says that the embeddings are tied, so look at the weights.
        tied=scaled or "lm_head.weight" not in tensors,
        scaled=scaled,
        family=family,
    )


def _expect_supported(reader: ConfigReader, feed_forward: str) -> None:
    reader.expect("is_decoder", False)
    reader.expect("feed_forward_proj", *FEED_FORWARDS)
    if feed_forward in FEED_FORWARDS:
        reader.expect("dense_act_fn", _ACTIVATIONS[feed_forward])
        reader.expect("is_gated_act", feed_forward.startswith("gated-"))


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
    output, copies = output_rules(config.tied)
    return TensorMap(
        rules=(
            *embedding_rules({"shared": "embeddings/word"}),
            *_stack_rules(config, "encoder", {"SelfAttention": "attention"}),
            *_stack_rules(
                config,
                "decoder",
                {"SelfAttention": "attention", "EncDecAttention": "cross_attention"},
            ),
            *output,
        ),
        prefix="transformer.",
        # Copies of the shared embedding, and unused relative positions, which some checkpoints
        # have.
        ignored=(
            r"(encoder|decoder)\.embed_tokens\.weight",
            r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
            *copies,
        ),
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
