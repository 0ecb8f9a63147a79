"""Gemma 2 and Gemma 3 checkpoints of text models: sizes from and to `config.json`."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.attention.rotary_config import rotary_values
from fsl_jax.models.config_reader import ConfigReader
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
    """The sizes of a Gemma 2 checkpoint (https://arxiv.org/abs/2408.00118); as `llama_config`."""
    values = rotary_values(values)
    fields = ConfigReader(source, values)
    sizes = _sizes(fields, values, every=2, max_length=8192)
    sizes["score_cap"] = fields.optional_number("attn_logit_softcapping", 50.0)
    sizes["logit_cap"] = fields.optional_number("final_logit_softcapping", 30.0)
    fields.finish()
    return LlamaConfig(**sizes, family="gemma2")


def gemma3_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> LlamaConfig:
    """The sizes of a Gemma 3 checkpoint (https://arxiv.org/abs/2503.19786); as `llama_config`."""
    groups = values.get("rope_parameters") or {}
    local = groups.get("sliding_attention") or {}
    theta = local.get("rope_theta", values.get("rope_local_base_freq"))
    values = rotary_values({**values, "rope_parameters": groups.get("full_attention")})
    fields = ConfigReader(source, values | {"rope_local_base_freq": theta})
    if unknown := sorted(groups.keys() - set(_LAYER_KINDS)):
        fields.problem(
            "rope_parameters", unknown, f"settings for {' and '.join(_LAYER_KINDS)} alone"
        )
    if (kind := local.get("rope_type", "default")) != "default":
        fields.problem("rope_type of the sliding layers", kind, "'default'")
    # Hugging Face reads this field and does not use it.
    fields.expect("attn_logit_softcapping", None)
    pattern = fields.integer("sliding_window_pattern", 6)
    sizes = _sizes(fields, values, every=pattern, max_length=131_072, rope_theta=1_000_000.0)
    sizes["logit_cap"] = fields.optional_number("final_logit_softcapping")
    sizes["local_rope_theta"] = fields.number("rope_local_base_freq", _LOCAL_THETA)
    fields.finish()
    return LlamaConfig(**sizes, query_key_norm=True, family="gemma3_text")


def _sizes(
    fields: ConfigReader, values: Mapping[str, Any], every: int, max_length: int, **defaults: Any
) -> dict[str, Any]:
    """What both have: every so many layers, one has no sliding window."""
    fields.expect("hidden_activation", "gelu_pytorch_tanh")
    # Bidirectional ones are encoders of embeddings, and no decoders.
    fields.expect("use_bidirectional_attention", False)
    sizes = common_sizes(
        fields,
        values,
        num_kv_heads=4,
        max_length=max_length,
        head_dim=256,
        tied=True,
        **defaults,
    )
    window = fields.optional_integer("sliding_window", 4096)
    sizes |= sliding_layers(fields, values, window, lambda layer: (layer + 1) % every != 0)
    return sizes | {
        "biases": ATTENTION if fields.flag("attention_bias", False) else (),
        "post_norms": True,
        "norm_offset": 1.0,
        "activation": "tanh_gelu",
        "embedding_scale": sizes["hidden_size"] ** 0.5,
        "query_scale": fields.number("query_pre_attn_scalar", 256.0) ** -0.5,
    }


def gemma2_json(config: LlamaConfig) -> dict[str, Any]:
    """What `config.json` says of a Gemma 2 decoder."""
    values = common_json(config, "Gemma2ForCausalLM") | _other_fields(config)
    return values | {"attn_logit_softcapping": config.score_cap}


def gemma3_json(config: LlamaConfig) -> dict[str, Any]:
    """What `config.json` says of a Gemma 3 text decoder."""
    values = common_json(config, "Gemma3ForCausalLM") | _other_fields(config)
    return values | {"rope_local_base_freq": config.local_rope_theta}


def _other_fields(config: LlamaConfig) -> dict[str, Any]:
    scale = config.query_scale or config.head_dim**-0.5
    return sliding_json(config) | {
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": "query" in config.biases,
        "final_logit_softcapping": config.logit_cap,
        "query_pre_attn_scalar": round(scale**-2),
    }
