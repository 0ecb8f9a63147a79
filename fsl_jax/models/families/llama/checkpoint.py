"""Llama and Mistral checkpoints: the sizes in `config.json`, and the tensor maps.

All decoders that are built like Llama use these tensor maps.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from absl import logging

from fsl_jax.models.attention.rotary_config import rotary_values
from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.activations import SILU
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.families.llama.config_json import ATTENTION, MLP, common_json, common_sizes
from fsl_jax.models.tensors.module_rules import (
    OUTPUT,
    dense_rules,
    embedding_rules,
    norm_rules,
    output_rules,
)
from fsl_jax.models.tensors.tensor_map import TensorMap, TensorRule
from fsl_jax.models.tensors.ties import Tie, Ties

TIES = Ties((Tie(OUTPUT, "embed_tokens.weight"),), prefix="model.", default=False)
GEMMA_TIES = dataclasses.replace(TIES, default=True)
_DENSE = {
    "model.layers.{layer}.self_attn.q_proj": "layers/attention/query",
    "model.layers.{layer}.self_attn.k_proj": "layers/attention/key",
    "model.layers.{layer}.self_attn.v_proj": "layers/attention/value",
    "model.layers.{layer}.self_attn.o_proj": "layers/attention/output",
    "model.layers.{layer}.mlp.gate_proj": "layers/mlp/gate",
    "model.layers.{layer}.mlp.up_proj": "layers/mlp/up",
    "model.layers.{layer}.mlp.down_proj": "layers/mlp/down",
}
_NORMS = {
    "model.layers.{layer}.input_layernorm": "layers/attention/norm",
    "model.layers.{layer}.post_attention_layernorm": "layers/mlp/norm",
}
# If the updates are normalised too, the second name belongs to another norm.
_NORMS_WITH_POST_NORMS = {
    "model.layers.{layer}.input_layernorm": "layers/attention/norm",
    "model.layers.{layer}.post_attention_layernorm": "layers/attention/post_norm",
    "model.layers.{layer}.pre_feedforward_layernorm": "layers/mlp/norm",
    "model.layers.{layer}.post_feedforward_layernorm": "layers/mlp/post_norm",
}
_HEAD_NORMS = {
    "model.layers.{layer}.self_attn.q_norm": "layers/attention/query_norm",
    "model.layers.{layer}.self_attn.k_norm": "layers/attention/key_norm",
}


def llama_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> LlamaConfig:
    """Read the sizes of a Llama checkpoint.

    Args:
      source: the config's file, for errors.
      values: the values of `config.json`.
      tensors: the names of the checkpoint's tensors.

    Returns:
      The config.

    Raises:
      InputError: sizes are missing, or the checkpoint needs something that is not supported.
    """
    values = rotary_values(values)
    reader = ConfigReader(source, values, tensors)
    reader.expect("hidden_act", *SILU)
    sizes = common_sizes(reader, values, tensors, num_kv_heads=None, max_length=2048)
    attention, mlp = reader.flag("attention_bias", False), reader.flag("mlp_bias", False)
    biases = (ATTENTION if attention else ()) + (MLP if mlp else ())
    reader.finish()
    return LlamaConfig(**sizes, biases=biases, family="llama")


def mistral_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> LlamaConfig:
    """Read the sizes of a Mistral (https://arxiv.org/abs/2310.06825); see `llama_config`."""
    values = rotary_values(values)
    reader = ConfigReader(source, values, tensors)
    reader.expect("hidden_act", *SILU)
    if reader.texts("layer_types") is not None:
        logging.warning(
            "%s: layer_types is passed over, as transformers does for a Mistral: sliding_window "
            "holds for all layers or for none.",
            source,
        )
    sizes = common_sizes(reader, values, tensors, num_kv_heads=8, max_length=4096 * 32)
    window = reader.optional_integer("sliding_window", 4096)
    reader.finish()
    sliding = (True,) * sizes["num_layers"] if window else ()
    return LlamaConfig(**sizes, window=window, sliding=sliding, family="mistral")


def llama_json(config: LlamaConfig) -> dict[str, Any]:
    """Return the values of `config.json` for a Llama decoder."""
    return common_json(config, "LlamaForCausalLM") | {
        "hidden_act": "silu",
        "attention_bias": "query" in config.biases,
        "mlp_bias": "up" in config.biases,
    }


def mistral_json(config: LlamaConfig) -> dict[str, Any]:
    """Return the values of `config.json` for a Mistral decoder."""
    values = common_json(config, "MistralForCausalLM")
    return values | {"hidden_act": "silu", "sliding_window": config.window}


def llama_tensor_map(config: LlamaConfig) -> TensorMap:
    """Return the tensor map of a checkpoint of any decoder that is built like Llama."""
    return TensorMap(
        rules=(
            *embedding_rules({"model.embed_tokens": "embeddings/word"}),
            *norm_rules({"model.norm": "final_norm"}, bias=False),
            *_layer_rules(config),
            *output_rules(config.tied),
        ),
        prefix="model.",
        # Buffers, which some checkpoints have.
        ignored=(r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq",),
    )


def _layer_rules(config: LlamaConfig) -> Iterator[TensorRule]:
    for name, path in _DENSE.items():
        yield from dense_rules({name: path}, bias=path.rpartition("/")[2] in config.biases)
    norms = _NORMS_WITH_POST_NORMS if config.post_norms else _NORMS
    yield from norm_rules(norms | (_HEAD_NORMS if config.query_key_norm else {}), bias=False)


def llama_heads(config: LlamaConfig) -> dict[str, TensorMap]:
    """Return the tensor maps of the heads that a checkpoint may have, by kind of head."""
    score = {"score": "classifier/output"}
    return {
        "sequence_classification": TensorMap(dense_rules(score, bias=False)),
        "token_classification": TensorMap(dense_rules(score)),
    }
