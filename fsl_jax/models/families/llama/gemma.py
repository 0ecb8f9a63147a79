"""Checkpoints of Gemma 2 and of Gemma 3 text models: the sizes in `config.json`."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.attention.rotary_config import rotary_values
from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.activations import TANH_GELU
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.families.llama.config_json import (
    ATTENTION,
    common_json,
    common_sizes,
    sliding_json,
    sliding_layers,
)

_LAYER_KINDS = ("full_attention", "sliding_attention")
_LOCAL_THETA = 10_000.0


def gemma2_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> LlamaConfig:
    """Read the sizes of a Gemma 2 (https://arxiv.org/abs/2408.00118); see `llama_config`."""
    values = rotary_values(values)
    reader = ConfigReader(source, values, tensors)
    sizes = _sizes(reader, values, tensors, every=2, max_length=8192)
    sizes["score_cap"] = reader.optional_number("attn_logit_softcapping", 50.0)
    sizes["logit_cap"] = reader.optional_number("final_logit_softcapping", 30.0)
    reader.finish()
    return LlamaConfig(**sizes, family="gemma2")


def gemma3_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> LlamaConfig:
    """Read the sizes of a Gemma 3 (https://arxiv.org/abs/2503.19786); see `llama_config`."""
    reader = ConfigReader(source, values)
    groups = reader.object("rope_parameters")
    nested = ConfigReader(f"{source}: rope_parameters", groups)
    local = nested.object("sliding_attention")
    nested.object("full_attention")
    reader.finish()
    nested.finish()
    theta = local.get("rope_theta", values.get("rope_local_base_freq"))
    values = rotary_values({**values, **_full_attention(values, groups)})
    reader = ConfigReader(source, values | {"rope_local_base_freq": theta}, tensors)
    if unknown := sorted(groups.keys() - set(_LAYER_KINDS)):
        reader.problem(
            "rope_parameters", unknown, f"settings for {' and '.join(_LAYER_KINDS)} alone"
        )
    if (kind := local.get("rope_type", "default")) != "default":
        reader.problem("rope_type of the sliding layers", kind, "'default'")
    # Hugging Face reads this field but does not use it.
    reader.expect("attn_logit_softcapping", None)
    pattern = reader.integer("sliding_window_pattern", 6)
    sizes = _sizes(
        reader, values, tensors, every=pattern, max_length=131_072, rope_theta=1_000_000.0
    )
    sizes["logit_cap"] = reader.optional_number("final_logit_softcapping")
    sizes["local_rope_theta"] = reader.number("rope_local_base_freq", _LOCAL_THETA)
    reader.finish()
    return LlamaConfig(**sizes, query_key_norm=True, family="gemma3_text")


def _full_attention(values: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rotary groups of the layers without a window, which `rope_scaling` adds to."""
    group, scaling = groups.get("full_attention"), values.get("rope_scaling")
    if not isinstance(scaling, dict) or not scaling:
        return {"rope_parameters": group}
    kind = scaling.get("rope_type", scaling.get("type"))
    return {
        "rope_parameters": None,
        "rope_scaling": {**(group or {}), **scaling, "rope_type": kind},
    }


def _sizes(
    reader: ConfigReader,
    values: Mapping[str, Any],
    tensors: Collection[str],
    every: int,
    max_length: int,
    **defaults: Any,
) -> dict[str, Any]:
    """Read the sizes of both. By default the last of every `every` layers has no sliding window."""
    reader.expect("hidden_activation", *TANH_GELU)
    # Bidirectional models are encoders for embeddings, not decoders.
    reader.expect("use_bidirectional_attention", False)
    sizes = common_sizes(
        reader,
        values,
        tensors,
        num_kv_heads=4,
        max_length=max_length,
        head_dim=256,
        tied=True,
        **defaults,
    )
    window = reader.optional_integer("sliding_window", 4096)
    layers = sizes["num_layers"]
    sizes |= sliding_layers(reader, layers, window, lambda layer: (layer + 1) % every != 0)
    return sizes | {
        "biases": ATTENTION if reader.flag("attention_bias", False) else (),
        "post_norms": True,
        "norm_offset": 1.0,
        "activation": "tanh_gelu",
        "embedding_scale": sizes["hidden_size"] ** 0.5,
        "query_scale": reader.number("query_pre_attn_scalar", 256.0) ** -0.5,
    }


def gemma2_json(config: LlamaConfig) -> dict[str, Any]:
    """Return the values of `config.json` for a Gemma 2 decoder."""
    values = common_json(config, "Gemma2ForCausalLM") | _other_fields(config)
    return values | {"attn_logit_softcapping": config.score_cap}


def gemma3_json(config: LlamaConfig) -> dict[str, Any]:
    """Return the values of `config.json` for a Gemma 3 text decoder."""
    values = common_json(config, "Gemma3ForCausalLM") | _other_fields(config)
    return values | {"rope_local_base_freq": config.local_rope_theta}


def _other_fields(config: LlamaConfig) -> dict[str, Any]:
    scale = config.query_scale or config.head_dim**-0.5
    return sliding_json(config) | {
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": "query" in config.biases,
        "final_logit_softcapping": config.logit_cap,
        "query_pre_attn_scalar": _whole(scale**-2),
    }


def _whole(number: float) -> int | float:
    """Return a whole number without the rounding of its power, and any other number as it is."""
    return round(number) if abs(number - round(number)) < 1e-6 * number else number
