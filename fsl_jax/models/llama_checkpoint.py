"""Llama checkpoints of Hugging Face: sizes from `config.json`, and the table of names."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.fields import Fields
from fsl_jax.models.llama import LlamaConfig
from fsl_jax.models.names import TRANSPOSE, Name, NameTable

_DENSE = {
    "self_attn.q_proj": "attention/query",
    "self_attn.k_proj": "attention/key",
    "self_attn.v_proj": "attention/value",
    "self_attn.o_proj": "attention/output",
    "mlp.gate_proj": "mlp/gate",
    "mlp.up_proj": "mlp/up",
    "mlp.down_proj": "mlp/down",
}
_NORMS = {"input_layernorm": "attention/norm", "post_attention_layernorm": "mlp/norm"}


def llama_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> LlamaConfig:
    """The sizes of a Llama checkpoint.

    Args:
      source: the config's file, for errors.
      values: what `config.json` says.
      tensors: the names of the checkpoint's tensors.

    Returns:
      The config.

    Raises:
      InputError: sizes are missing, or the checkpoint needs what is not supported.
    """
    fields = Fields(source, {**values, **_rotary_fields(values)})
    fields.expect("hidden_act", "silu")
    fields.expect("rope_type", "default")
    fields.expect("attention_bias", False)
    fields.expect("mlp_bias", False)
    heads, width = fields.integer("num_attention_heads"), fields.integer("hidden_size")
    sizes: dict[str, Any] = {
        "vocab_size": fields.integer("vocab_size"),
        "hidden_size": width,
        "mlp_size": fields.integer("intermediate_size"),
        "num_layers": fields.integer("num_hidden_layers"),
        "num_heads": heads,
        "num_kv_heads": fields.integer("num_key_value_heads", heads),
        "head_dim": fields.integer("head_dim", max(1, width // heads)),
        "max_length": fields.integer("max_position_embeddings", 2048),
        "rope_theta": fields.number("rope_theta", 10_000.0),
        "norm_epsilon": fields.number("rms_norm_eps", 1e-6),
    }
    fields.finish()
    return LlamaConfig(**sizes, tied=bool(values.get("tie_word_embeddings", False)))


def _rotary_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The rotary embedding's kind and base, wherever this release of transformers wrote them."""
    fields: dict[str, Any] = {}
    for group in (values.get("rope_scaling"), values.get("rope_parameters")):
        if group is not None:
            fields["rope_type"] = group.get("rope_type", group.get("type"))
            fields["rope_theta"] = group.get("rope_theta", values.get("rope_theta"))
    return fields


def llama_names(config: LlamaConfig) -> NameTable:
    """The names of the tensors of a Llama checkpoint."""
    layer = "model.layers.{layer}"
    output = () if config.tied else (Name("lm_head.weight", "unembedding/kernel", TRANSPOSE),)
    return NameTable(
        names=(
            Name("model.embed_tokens.weight", "embeddings/word/embedding"),
            Name("model.norm.weight", "final_norm/scale"),
            *(
                Name(f"{layer}.{name}.weight", f"layers/{path}/kernel", TRANSPOSE)
                for name, path in _DENSE.items()
            ),
            *(
                Name(f"{layer}.{name}.weight", f"layers/{path}/scale")
                for name, path in _NORMS.items()
            ),
            *output,
        ),
        prefix="model.",
        # Buffers, and the copy of a tied output embedding that some checkpoints carry.
        ignored=(
            r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq",
            *((r"lm_head\.weight",) if config.tied else ()),
        ),
    )
