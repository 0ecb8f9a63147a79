"""All model families, and functions for a config of any family."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.families.bert.family import BERT, DISTILBERT, ROBERTA, XLM_ROBERTA
from fsl_jax.models.families.config import Config
from fsl_jax.models.families.family import Family, GGUFLayout
from fsl_jax.models.families.gpt2.family import GPT2
from fsl_jax.models.families.llama.family import GEMMA2, GEMMA3, LLAMA, MISTRAL, QWEN2, QWEN3
from fsl_jax.models.families.t5.family import MT5, T5
from fsl_jax.models.outputs import Params
from fsl_jax.models.tensors.stored import Shape

__all__ = ["FAMILIES", "Config", "gguf_layouts", "initialise", "module_of", "parameter_shapes"]

FAMILIES: dict[str, Family] = {
    "bert": BERT,
    "roberta": ROBERTA,
    "xlm-roberta": XLM_ROBERTA,
    "distilbert": DISTILBERT,
    "gpt2": GPT2,
    "llama": LLAMA,
    "mistral": MISTRAL,
    "qwen2": QWEN2,
    "qwen3": QWEN3,
    "gemma2": GEMMA2,
    "gemma3_text": GEMMA3,
    "t5": T5,
    "mt5": MT5,
}
"""The families by `model_type` of `config.json`, which is `family` of a config."""


def gguf_layouts() -> dict[str, GGUFLayout]:
    """Return the layouts of GGUF files by `general.architecture`."""
    layouts = [family.gguf for family in FAMILIES.values() if family.gguf is not None]
    return {layout.architecture: layout for layout in layouts}


def module_of(config: Config, dtype: Any = jnp.float32) -> nn.Module:
    """Return the Flax module of a config, with activations in `dtype`."""
    return FAMILIES[config.family].module(config, jnp.dtype(dtype))


def initialise(config: Config, key: PRNGKey, dtype: Any = jnp.float32) -> Params:
    """Draw random parameters, for tests and for training from scratch.

    Args:
      config: the config of a model of any family.
      key: a threefry key.
      dtype: the dtype of every leaf.

    Returns:
      The parameter tree.
    """
    tokens = jnp.zeros((1, 1), jnp.int32)
    params = module_of(config).init(key, tokens, jnp.ones((1, 1), bool))["params"]
    return jax.tree.map(lambda leaf: leaf.astype(dtype), params)


def parameter_shapes(config: Config) -> dict[str, Shape]:
    """Return the shapes that the leaves of a checkpoint with this config must have, by path."""
    tree = jax.eval_shape(lambda: initialise(config, jax.random.key(0)))
    return {path: leaf.shape for path, leaf in flatten_dict(tree, sep="/").items()}
