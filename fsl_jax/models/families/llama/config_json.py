"""What the configs of all decoders that are built like Llama have in common, from and to JSON."""

from collections.abc import Callable, Mapping
from typing import Any

from fsl_jax.models.attention.rotary_config import rotary_json, rotary_scaling
from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.llama.config import LlamaConfig

ATTENTION = ("query", "key", "value", "output")
MLP = ("gate", "up", "down")

_SLIDING, _FULL = "sliding_attention", "full_attention"


def common_sizes(
    fields: ConfigReader,
    values: Mapping[str, Any],
    *,
    num_kv_heads: int | None,
    max_length: int,
    head_dim: int | None = None,
    rope_theta: float = 10_000.0,
    tied: bool = False,
) -> dict[str, Any]:
    """Reads the fields that all have.

    Args:
      fields: over `values`, to which faults are noted.
      values: from `rotary_values`.
      num_kv_heads: where the config does not say; None for as many as there are heads.
      max_length: likewise.
      head_dim: likewise; None for the width divided by the heads.
      rope_theta: likewise.
      tied: likewise.

    Returns:
      Arguments of `LlamaConfig`.
    """
    longest = fields.integer("max_position_embeddings", max_length)
    heads, width = fields.integer("num_attention_heads"), fields.integer("hidden_size")
    return {
        "vocab_size": fields.integer("vocab_size"),
        "hidden_size": width,
        "mlp_size": fields.integer("intermediate_size"),
        "num_layers": fields.integer("num_hidden_layers"),
        "num_heads": heads,
        "num_kv_heads": fields.optional_integer("num_key_value_heads", num_kv_heads) or heads,
        "head_dim": fields.optional_integer("head_dim", head_dim) or max(1, width // heads),
        "max_length": longest,
        "rope_theta": fields.number("rope_theta", rope_theta),
        "rope_scaling": rotary_scaling(fields, values, longest),
        "norm_epsilon": fields.number("rms_norm_eps", 1e-6),
        "tied": fields.flag("tie_word_embeddings", tied),
    }


def sliding_layers(
    fields: ConfigReader,
    values: Mapping[str, Any],
    window: int | None,
    default: Callable[[int], bool],
) -> dict[str, Any]:
    """Reads which layers have a sliding window.

    Args:
      fields: over `values`, to which faults are noted.
      values: what `config.json` says.
      window: length of the window.
      default: whether the layer of a number has it, where the config does not say.

    Returns:
      Arguments of `LlamaConfig`.
    """
    kinds, layers = values.get("layer_types"), fields.integer("num_hidden_layers")
    if kinds is None:
        kinds = [_SLIDING if default(layer) else _FULL for layer in range(layers)]
    for kind in sorted(set(kinds) - {_SLIDING, _FULL}):
        fields.problem("layer_types", kind, f"{_SLIDING!r} or {_FULL!r}")
    if len(kinds) != layers:
        fields.problem("layer_types", kinds, f"one for each of {layers} layers")
    sliding = tuple(kind == _SLIDING for kind in kinds)
    if not any(sliding):
        return {}
    if window is None:
        fields.problem(
            "sliding_window", None, "the length of the window that layer_types speaks of"
        )
    return {"window": window or 1, "sliding": sliding}


def common_json(config: LlamaConfig, architecture: str) -> dict[str, Any]:
    """What `config.json` says of any of these decoders, whose activation is SiLU or not."""
    return {
        "architectures": [architecture],
        "model_type": config.family,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.mlp_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.max_length,
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tied,
        **rotary_json(config.rope_theta, config.rope_scaling),
    }


def sliding_json(config: LlamaConfig) -> dict[str, Any]:
    """What `config.json` says of the layers with a sliding window."""
    sliding = config.sliding or (False,) * config.num_layers
    return {
        "sliding_window": config.window,
        "layer_types": [_SLIDING if each else _FULL for each in sliding],
    }
