"""Prefix tuning as PEFT keeps it: keys and values of all layers in one tensor.

P-tuning v2 is of the same kind, without the network that computes the prefix.

Of an encoder-decoder the decoder's own attention has the prefix. PEFT takes the tensor for two
attentions a layer and drops what would be the other one's: with N pairs of keys and values, layer
number i gets pair 2 i, counted on from the first one after the last.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.methods.p_tuning_v2 import PTuningV2
from fsl_jax.adapt.methods.prefix_tuning import PrefixTuning
from fsl_jax.adapt.peft.prompts import TENSOR, prompt_config, read_prompt, submodules
from fsl_jax.models.families.registry import Config
from fsl_jax.models.families.t5.layers import T5Config
from fsl_jax.models.pretrained import Pretrained

Leaves = dict[str, np.ndarray]


def _paths(config: Config) -> tuple[str, str, str]:
    """Of the keys, the values and the mask."""
    stack = "decoder/layers" if config.is_encoder_decoder else "layers"
    attention = f"{stack}/attention"
    return f"{attention}/prefix_key", f"{attention}/prefix_value", f"{attention}/prefix_mask"


def _depth(config: Config) -> int:
    """How many layers have a prefix."""
    return config.num_decoder_layers if isinstance(config, T5Config) else config.num_layers


def has_prefixes(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT puts these leaves into this model: a prefix of the layers that may have one.

    Args:
      paths: of the prefix.
      config: of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    return set(paths) == set(_paths(config)[:2])


def write_prefix_tuning(
    leaves: Mapping[str, np.ndarray], method: PrefixTuning | PTuningV2, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """The tensors and the config of a PEFT adapter.

    Args:
      leaves: `prefix_key` and `prefix_value`, `[L, P, W]`, by path.
      method: the method.
      pretrained: the base model.

    Returns:
      The tensors by PEFT's names, and the values of `adapter_config.json`.
    """
    key, value, _ = _paths(pretrained.config)
    # [L, 2, P, W] to [P, L * 2 * W].
    states = np.stack([leaves[key], leaves[value]], axis=1)
    if pretrained.config.is_encoder_decoder:
        states = np.stack([states, np.zeros_like(states)], axis=1).reshape(-1, *states.shape[1:])
    layers, _, length, width = states.shape
    tensor = states.transpose(2, 0, 1, 3).reshape(length, layers * 2 * width)
    heads = pretrained.config.num_kv_heads
    computed = isinstance(method, PrefixTuning)
    return {TENSOR: np.ascontiguousarray(tensor)}, {
        **prompt_config("PREFIX_TUNING", pretrained, length, width, heads),
        "num_layers": layers,
        "prefix_projection": computed,
        "encoder_hidden_size": method.hidden if isinstance(method, PrefixTuning) else None,
    }


def read_prefix_tuning(
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
) -> tuple[PrefixTuning | PTuningV2, Leaves]:
    """The method and the leaves of a PEFT adapter.

    Args:
      values: what `adapter_config.json` says.
      tensors: the tensors by PEFT's names.
      pretrained: the base model.
      source: the adapter, for errors.

    Returns:
      Prefix tuning, or P-tuning v2 where no network computed the prefix, which is not saved; and
      `prefix_key` and `prefix_value`, `[L, P, W]`, with their mask, by path.

    Raises:
      InputError: as `read_prompt`.
    """
    sizes = pretrained.config
    width, layers, pairs = sizes.num_kv_heads * sizes.head_dim, _depth(sizes), _pairs(values, sizes)
    expected = {
        "peft_type": "PREFIX_TUNING",
        "token_dim": width,
        "num_transformer_submodules": submodules(sizes),
        "num_attention_heads": sizes.num_kv_heads,
        "num_layers": pairs,
    }
    states = read_prompt(expected, values, tensors, pretrained, source, (pairs, 2, width))
    own = np.arange(layers) * submodules(sizes) % pairs
    keys, values_of_layers = np.ascontiguousarray(states[:, own].transpose(2, 1, 0, 3))
    mask = np.ones((layers, len(states)), np.float32)
    leaves = dict(zip(_paths(sizes), (keys, values_of_layers, mask), strict=True))
    if not values.get("prefix_projection"):
        return PTuningV2(len(states)), leaves
    hidden = values.get("encoder_hidden_size")
    if not isinstance(hidden, int) or hidden < 1:
        hidden = PrefixTuning.hidden
    return PrefixTuning(len(states), hidden), leaves


def _pairs(values: Mapping[str, Any], config: Config) -> int:
    """How many pairs of keys and values a vector has, which may be more than layers have one."""
    layers, said = _depth(config), values.get("num_layers")
    if not config.is_encoder_decoder:
        return layers
    return said if isinstance(said, int) and said >= layers else 2 * layers
