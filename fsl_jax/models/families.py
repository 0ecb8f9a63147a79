"""The families of models, by the name that `config.json` has for them."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from fsl_jax.models.bert import Bert, BertConfig
from fsl_jax.models.bert_checkpoint import bert_config, bert_names
from fsl_jax.models.layers import PRNGKey
from fsl_jax.models.llama import Llama, LlamaConfig
from fsl_jax.models.llama_checkpoint import llama_config, llama_names
from fsl_jax.models.names import NameTable, Shape
from fsl_jax.models.outputs import Params

Config = BertConfig | LlamaConfig


@dataclasses.dataclass(frozen=True)
class Family:
    """What there is to know about a family of models.

    Attributes:
      module: the Flax module, made from a config and a dtype.
      config: `config(source, values, tensors)` from what `config.json` says.
      names: the table of names of a Hugging Face checkpoint with a config.
    """

    module: Callable[[Any, jnp.dtype], nn.Module]
    config: Callable[[str, Mapping[str, Any], Collection[str]], Any]
    names: Callable[[Any], NameTable]


FAMILIES = {
    "bert": Family(Bert, bert_config, bert_names),
    "llama": Family(Llama, llama_config, llama_names),
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
