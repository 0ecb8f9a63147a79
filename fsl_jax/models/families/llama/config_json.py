"""The values of `config.json` that all decoders built like Llama share."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fsl_jax.models.attention.rotary_config import rotary_json, rotary_scaling
from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.tensors.module_rules import OUTPUT

ATTENTION = ("query", "key", "value", "output")
MLP = ("gate", "up", "down")

_SLIDING, _FULL = "sliding_attention", "full_attention"


def common_sizes(
    reader: ConfigReader,
    values: Mapping[str, Any],
    tensors: Collection[str],
    *,
    num_kv_heads: int | None,
    max_length: int,
    head_dim: int | None = None,
    rope_theta: float = 10_000.0,
    tied: bool = False,
) -> dict[str, Any]:
    """Read the sizes that all these decoders have.

    Args:
      reader: a reader of `values`, which collects the problems.
      values: values from `rotary_values`.
      tensors: the names of the checkpoint's tensors, without copies of tied ones.
      num_kv_heads: default of the number of heads of keys and values; None for the number of heads.
      max_length: default of the longest sequence.
      head_dim: default of a head's width; None for the model width divided by the heads.
      rope_theta: default of the base of the rotary embedding.
      tied: True if the output embedding is the input embedding by default.

    Returns:
      Arguments of `LlamaConfig`.
    """
    longest = reader.integer("max_position_embeddings", max_length)
    heads, width = reader.size("num_attention_heads"), reader.size("hidden_size")
    head_dim = reader.optional_size("head_dim", head_dim) or max(1, width // heads)
    if head_dim % 2:
        reader.problem("head_dim", head_dim, "an even number, since pairs are rotated")
    return {
        "vocab_size": reader.size("vocab_size"),
        "hidden_size": width,
        "mlp_size": reader.size("intermediate_size"),
        "num_layers": reader.layers("num_hidden_layers"),
        "num_heads": heads,
        "num_kv_heads": reader.optional_size("num_key_value_heads", num_kv_heads) or heads,
        "head_dim": head_dim,
        "max_length": longest,
        "rope_theta": reader.number("rope_theta", rope_theta),
        "rope_scaling": rotary_scaling(reader, values, longest),
        "norm_epsilon": reader.number("rms_norm_eps", 1e-6),
        "tied": reader.flag("tie_word_embeddings", tied) and OUTPUT not in tensors,
    }


def sliding_layers(
    reader: ConfigReader,
    layers: int,
    window: int | None,
    default: Callable[[int], bool],
) -> dict[str, Any]:
    """Read which layers have a sliding window.

    Args:
      reader: a reader of the values of `config.json`, which collects the problems.
      layers: the number of layers.
      window: length of the window.
      default: returns True if the layer of a given number has a window, for configs that do not
        say.

    Returns:
      Arguments of `LlamaConfig`.
    """
    kinds = reader.texts("layer_types")
    if kinds is None:
        kinds = [_SLIDING if default(layer) else _FULL for layer in range(layers)]
    for kind in sorted(set(kinds) - {_SLIDING, _FULL}):
        reader.problem("layer_types", kind, f"{_SLIDING!r} or {_FULL!r}")
    if len(kinds) != layers:
        reader.problem("layer_types", kinds, f"one for each of {layers} layers")
    sliding = tuple(kind == _SLIDING for kind in kinds)
    if not any(sliding):
        return {}
    if window is None:
        reader.problem(
            "sliding_window", None, "the length of the window that layer_types speaks of"
        )
    return {"window": window or 1, "sliding": sliding}


def common_json(config: LlamaConfig, architecture: str) -> dict[str, Any]:
    """Return the values of `config.json` that all these decoders have."""
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
    """Return the values of `config.json` about the layers with a sliding window."""
    sliding = config.sliding or (False,) * config.num_layers
    return {
        "sliding_window": config.window,
        "layer_types": [_SLIDING if slides else _FULL for slides in sliding],
    }
