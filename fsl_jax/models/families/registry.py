"""The families of models, by the name that `config.json` has for them."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.families.bert.checkpoint import (
    bert_config,
    bert_heads,
    bert_json,
    bert_tensor_map,
)
from fsl_jax.models.families.bert.distilbert import (
    distilbert_config,
    distilbert_heads,
    distilbert_json,
    distilbert_tensor_map,
)
from fsl_jax.models.families.bert.model import Bert, BertConfig
from fsl_jax.models.families.bert.roberta import (
    ROBERTA_TOKENS,
    roberta_config,
    roberta_heads,
    roberta_json,
    roberta_tensor_map,
)
from fsl_jax.models.families.gpt2.checkpoint import (
    GPT2_TOKENS,
    gpt2_config,
    gpt2_heads,
    gpt2_json,
    gpt2_tensor_map,
)
from fsl_jax.models.families.gpt2.model import GPT2, GPT2Config
from fsl_jax.models.families.llama.checkpoint import (
    llama_config,
    llama_heads,
    llama_json,
    llama_tensor_map,
    mistral_config,
    mistral_json,
)
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.families.llama.gemma import (
    gemma2_config,
    gemma2_json,
    gemma3_config,
    gemma3_json,
)
from fsl_jax.models.families.llama.model import Llama
from fsl_jax.models.families.llama.qwen import qwen2_config, qwen2_json, qwen3_config, qwen3_json
from fsl_jax.models.families.t5.checkpoint import t5_config, t5_heads, t5_json, t5_tensor_map
from fsl_jax.models.families.t5.layers import T5Config
from fsl_jax.models.families.t5.model import T5
from fsl_jax.models.outputs import Params
from fsl_jax.models.special_tokens import WORDPIECE_TOKENS
from fsl_jax.models.tensors.tensor_map import Shape, TensorMap

Config = BertConfig | GPT2Config | LlamaConfig | T5Config


@dataclasses.dataclass(frozen=True)
class Family:
    """What there is to know about a family of models.

    Attributes:
      module: the Flax module, made from a config and a dtype.
      config: `config(source, values, tensors)` from what `config.json` says.
      tensor_map: the tensor map of a Hugging Face checkpoint with a config.
      json: what `config.json` has to say of a config.
      heads: the names of the heads that a checkpoint may have, by the kind of head, as in
        `fsl_jax.models.blocks.heads`.
      special_tokens: those that its tokenizers have where nothing else is said, by their role.
    """

    module: Callable[[Any, jnp.dtype], nn.Module]
    config: Callable[[str, Mapping[str, Any], Collection[str]], Any]
    tensor_map: Callable[[Any], TensorMap]
    json: Callable[[Any], dict[str, Any]]
    heads: Callable[[Any], Mapping[str, TensorMap]] = lambda config: {}
    special_tokens: Mapping[str, str] = dataclasses.field(default_factory=dict)


_ROBERTA = Family(
    Bert, roberta_config, roberta_tensor_map, roberta_json, roberta_heads, ROBERTA_TOKENS
)
_T5 = Family(T5, t5_config, t5_tensor_map, t5_json, t5_heads)

FAMILIES = {
    "bert": Family(Bert, bert_config, bert_tensor_map, bert_json, bert_heads, WORDPIECE_TOKENS),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "distilbert": Family(
        Bert,
        distilbert_config,
        distilbert_tensor_map,
        distilbert_json,
        distilbert_heads,
        WORDPIECE_TOKENS,
    ),
    "gpt2": Family(GPT2, gpt2_config, gpt2_tensor_map, gpt2_json, gpt2_heads, GPT2_TOKENS),
    "llama": Family(Llama, llama_config, llama_tensor_map, llama_json, llama_heads),
    "mistral": Family(Llama, mistral_config, llama_tensor_map, mistral_json, llama_heads),
    "qwen2": Family(Llama, qwen2_config, llama_tensor_map, qwen2_json, llama_heads),
    "qwen3": Family(Llama, qwen3_config, llama_tensor_map, qwen3_json, llama_heads),
    "gemma2": Family(Llama, gemma2_config, llama_tensor_map, gemma2_json, llama_heads),
    "gemma3_text": Family(Llama, gemma3_config, llama_tensor_map, gemma3_json, llama_heads),
    "t5": _T5,
    "mt5": _T5,
}


def module_of(config: Config, dtype: Any = jnp.float32) -> nn.Module:
    """The Flax module of a config, with activations in `dtype`."""
    return FAMILIES[config.family].module(config, jnp.dtype(dtype))


def initialise(config: Config, key: PRNGKey, dtype: Any = jnp.float32) -> Params:
    """Random parameters for a config, for tests and for models that start from nothing.

    Args:
      config: of any family.
      key: a threefry key.
      dtype: of every leaf.

    Returns:
      The parameter tree.
    """
    tokens = jnp.zeros((1, 1), jnp.int32)
    params = module_of(config).init(key, tokens, jnp.ones((1, 1), bool))["params"]
    return jax.tree.map(lambda leaf: leaf.astype(dtype), params)


def parameter_shapes(config: Config) -> dict[str, Shape]:
    """The shape of each leaf by its path, which a checkpoint with this config must have."""
    tree = jax.eval_shape(lambda: initialise(config, jax.random.key(0)))
    return {path: leaf.shape for path, leaf in flatten_dict(tree, sep="/").items()}
