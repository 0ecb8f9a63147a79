"""Llama and Mistral checkpoints: sizes from and to `config.json`, and the tables of names.

The tables are those of all decoders that are built like Llama.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fsl_jax.models.fields import Fields
from fsl_jax.models.llama_config import LlamaConfig
from fsl_jax.models.llama_fields import ATTENTION, MLP, common_json, common_sizes
from fsl_jax.models.names import TRANSPOSE, Name, NameTable
from fsl_jax.models.rotary_fields import rotary_values

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
# Where the updates are normalised too, the second norm has another meaning.
_NORMS_WITH_POST_NORMS = {
    "input_layernorm": "attention/norm",
    "post_attention_layernorm": "attention/post_norm",
    "pre_feedforward_layernorm": "mlp/norm",
    "post_feedforward_layernorm": "mlp/post_norm",
}
_HEAD_NORMS = {"self_attn.q_norm": "attention/query_norm", "self_attn.k_norm": "attention/key_norm"}


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
    values = rotary_values(values)
    fields = Fields(source, values)
    fields.expect("hidden_act", "silu")
    sizes = common_sizes(fields, values, num_kv_heads=None, max_length=2048)
    attention, mlp = fields.flag("attention_bias", False), fields.flag("mlp_bias", False)
    biases = (ATTENTION if attention else ()) + (MLP if mlp else ())
    fields.finish()
    return LlamaConfig(**sizes, biases=biases, family="llama")


def mistral_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> LlamaConfig:
    """The sizes of a Mistral checkpoint (https://arxiv.org/abs/2310.06825); as `llama_config`."""
    values = rotary_values(values)
    fields = Fields(source, values)
    fields.expect("hidden_act", "silu")
    fields.expect("layer_types", None)
    sizes = common_sizes(fields, values, num_kv_heads=8, max_length=4096 * 32)
    window = fields.optional_integer("sliding_window", 4096)
    fields.finish()
    sliding = (True,) * sizes["num_layers"] if window else ()
    return LlamaConfig(**sizes, window=window, sliding=sliding, family="mistral")


def llama_json(config: LlamaConfig) -> dict[str, Any]:
    """What `config.json` says of a Llama decoder."""
    return common_json(config, "LlamaForCausalLM") | {
        "hidden_act": "silu",
        "attention_bias": "query" in config.biases,
        "mlp_bias": "up" in config.biases,
    }


def mistral_json(config: LlamaConfig) -> dict[str, Any]:
    """What `config.json` says of a Mistral decoder."""
    values = common_json(config, "MistralForCausalLM")
    return values | {"hidden_act": "silu", "sliding_window": config.window}


def llama_names(config: LlamaConfig) -> NameTable:
    """The names of the tensors of a checkpoint of any decoder that is built like Llama."""
    output = () if config.tied else (Name("lm_head.weight", "unembedding/kernel", TRANSPOSE),)
    return NameTable(
        names=(
            Name("model.embed_tokens.weight", "embeddings/word/embedding"),
            Name("model.norm.weight", "final_norm/scale"),
            *_layer_names(config),
            *output,
        ),
        prefix="model.",
        # Buffers, and the copy of a tied output embedding that some checkpoints carry.
        ignored=(
            r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq",
            *((r"lm_head\.weight",) if config.tied else ()),
        ),
    )


def _layer_names(config: LlamaConfig) -> Iterator[Name]:
    layer = "model.layers.{layer}"
    for name, path in _DENSE.items():
        yield Name(f"{layer}.{name}.weight", f"layers/{path}/kernel", TRANSPOSE)
        if path.partition("/")[2] in config.biases:
            yield Name(f"{layer}.{name}.bias", f"layers/{path}/bias")
    norms = _NORMS_WITH_POST_NORMS if config.post_norms else _NORMS
    for name, path in (norms | (_HEAD_NORMS if config.query_key_norm else {})).items():
        yield Name(f"{layer}.{name}.weight", f"layers/{path}/scale")


def llama_heads(config: LlamaConfig) -> dict[str, NameTable]:
    """The names of the heads that a checkpoint may have, by the kind of head."""
    kernel = Name("score.weight", "classifier/output/kernel", TRANSPOSE)
    bias = Name("score.bias", "classifier/output/bias")
    return {
        "sequence_classification": NameTable((kernel,)),
        "token_classification": NameTable((kernel, bias)),
    }
