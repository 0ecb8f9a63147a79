"""Hugging Face's GPT-2 checkpoints: the sizes in `config.json`, and the tensor maps."""

from collections.abc import Collection, Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.activations import TANH_GELU
from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.models.tensors.module_rules import (
    OUTPUT,
    dense_rules,
    embedding_rules,
    norm_rules,
    output_rules,
)
from fsl_jax.models.tensors.tensor_map import KEEP, TensorMap, TensorRule
from fsl_jax.models.tensors.ties import Tie, Ties

GPT2_TOKENS = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
"""The special token of GPT-2, which early checkpoints do not name."""

TIES = Ties((Tie(OUTPUT, "wte.weight"),), prefix="transformer.")
# transformers takes the names of other families too.
_ALIASES = {
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_layer": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
}
_EMBEDDINGS = {"transformer.wte": "embeddings/word", "transformer.wpe": "embeddings/position"}
# Linear layers are stored as `Conv1D`, whose weight is [in, out] like a kernel in this code.
_DENSE = {
    "transformer.h.{layer}.attn.c_proj": "layers/attention/output",
    "transformer.h.{layer}.mlp.c_fc": "layers/mlp/up",
    "transformer.h.{layer}.mlp.c_proj": "layers/mlp/down",
}
_FUSED = "transformer.h.{layer}.attn.c_attn"
_PARTS = ("layers/attention/query", "layers/attention/key", "layers/attention/value")
_NORMS = {
    "transformer.h.{layer}.ln_1": "layers/attention/norm",
    "transformer.h.{layer}.ln_2": "layers/mlp/norm",
    "transformer.ln_f": "final_norm",
}


def gpt2_config(source: str, values: Mapping[str, Any], tensors: Collection[str]) -> GPT2Config:
    """Read the sizes of a GPT-2 checkpoint.

    Args:
      source: the config's file, for errors.
      values: the values of `config.json`.
      tensors: the names of the checkpoint's tensors.

    Returns:
      The config.

    Raises:
      InputError: sizes are missing, or the checkpoint needs something that is not supported.
    """
    reader = ConfigReader(source, values, tensors, _ALIASES)
    reader.expect("activation_function", *TANH_GELU)
    reader.expect("scale_attn_weights", True)
    reader.expect("scale_attn_by_inverse_layer_idx", False)
    reader.expect("add_cross_attention", False)
    width = reader.size("n_embd")
    sizes: dict[str, Any] = {
        "vocab_size": reader.size("vocab_size"),
        "hidden_size": width,
        "mlp_size": reader.size("n_inner", 4 * width),
        "num_layers": reader.layers("n_layer"),
        "num_heads": reader.size("n_head"),
        "max_length": reader.size("n_positions"),
        "norm_epsilon": reader.number("layer_norm_epsilon", 1e-5),
        "tied": reader.flag("tie_word_embeddings", True) and OUTPUT not in tensors,
    }
    reader.finish()
    return GPT2Config(**sizes)


def gpt2_json(config: GPT2Config) -> dict[str, Any]:
    """Return the values of `config.json` for a GPT-2 decoder."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_embd": config.hidden_size,
        "n_inner": config.mlp_size,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_positions": config.max_length,
        "layer_norm_epsilon": config.norm_epsilon,
        "activation_function": "gelu_new",
        "tie_word_embeddings": config.tied,
    }


def gpt2_tensor_map(config: GPT2Config) -> TensorMap:
    """Return the tensor map of a GPT-2 checkpoint."""
    parts = [(path, (number, len(_PARTS))) for number, path in enumerate(_PARTS)]
    return TensorMap(
        rules=(
            *embedding_rules(_EMBEDDINGS),
            *dense_rules(_DENSE, KEEP),
            *(TensorRule(f"{_FUSED}.weight", f"{path}/kernel", part=part) for path, part in parts),
            *(TensorRule(f"{_FUSED}.bias", f"{path}/bias", part=part) for path, part in parts),
            *norm_rules(_NORMS),
            *output_rules(config.tied),
        ),
        prefix="transformer.",
        # Buffers, which some checkpoints have.
        ignored=(r"h\.\d+\.attn\.(bias|masked_bias)",),
    )


def gpt2_heads(config: GPT2Config) -> dict[str, TensorMap]:
    """Return the tensor maps of the heads that a GPT-2 checkpoint may have, by kind of head."""
    texts, tokens = {"score": "classifier/output"}, {"classifier": "classifier/output"}
    return {
        "sequence_classification": TensorMap(dense_rules(texts, bias=False)),
        "token_classification": TensorMap(dense_rules(tokens)),
    }
