"""Qwen2 and Qwen3 checkpoints: the sizes in `config.json`."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.attention.rotary_config import rotary_values
from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.activations import SILU
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.families.llama.config_json import (
    ATTENTION,
    common_json,
    common_sizes,
    sliding_json,
    sliding_layers,
)


def qwen2_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> LlamaConfig:
    """Read the sizes of a Qwen2 (https://arxiv.org/abs/2407.10671); see `llama_config`."""
    values = rotary_values(values)
    reader = ConfigReader(source, values, tensors)
    sizes = _sizes(reader, values, tensors)
    reader.finish()
    return LlamaConfig(**sizes, biases=ATTENTION[:3], family="qwen2")


def qwen3_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> LlamaConfig:
    """Read the sizes of a Qwen3 (https://arxiv.org/abs/2505.09388); see `llama_config`."""
    values = rotary_values(values)
    reader = ConfigReader(source, values, tensors)
    sizes = _sizes(reader, values, tensors, head_dim=128)
    biases = ATTENTION if reader.flag("attention_bias", False) else ()
    reader.finish()
    return LlamaConfig(**sizes, biases=biases, query_key_norm=True, family="qwen3")


def _sizes(
    reader: ConfigReader,
    values: Mapping[str, Any],
    tensors: Collection[str],
    head_dim: int | None = None,
) -> dict[str, Any]:
    reader.expect("hidden_act", *SILU)
    used = reader.flag("use_sliding_window", False)
    window = reader.optional_integer("sliding_window", 4096) if used else None
    full = reader.count("max_window_layers", 28)
    sizes = common_sizes(
        reader, values, tensors, num_kv_heads=32, max_length=32_768, head_dim=head_dim
    )
    return sizes | sliding_layers(
        reader, sizes["num_layers"], window, lambda layer: window is not None and layer >= full
    )


def qwen2_json(config: LlamaConfig) -> dict[str, Any]:
    """Return the values of `config.json` for a Qwen2 decoder."""
    return common_json(config, "Qwen2ForCausalLM") | _other_fields(config)


def qwen3_json(config: LlamaConfig) -> dict[str, Any]:
    """Return the values of `config.json` for a Qwen3 decoder."""
    values = common_json(config, "Qwen3ForCausalLM") | _other_fields(config)
    return values | {"attention_bias": "query" in config.biases}


def _other_fields(config: LlamaConfig) -> dict[str, Any]:
    first = config.sliding.index(True) if config.sliding else config.num_layers
    used = {"use_sliding_window": bool(config.sliding), "max_window_layers": first}
    return {"hidden_act": "silu"} | used | sliding_json(config)
