"""Prefix tuning as PEFT keeps it: keys and values of all layers in one tensor.

P-tuning v2 is of the same kind, without the network that computes the prefix.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.p_tuning_v2 import PTuningV2
from fsl_jax.adapt.peft.prompts import TENSOR, prompt_config, read_prompt
from fsl_jax.adapt.prefix_tuning import PrefixTuning
from fsl_jax.models.families import Config
from fsl_jax.models.pretrained import Pretrained

Leaves = dict[str, np.ndarray]

_KEY, _VALUE, _MASK = (f"layers/attention/prefix_{name}" for name in ("key", "value", "mask"))


def has_prefixes(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT puts these leaves into this model: a prefix of one stack of layers.

    Args:
      paths: of the prefix.
      config: of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    return not config.is_encoder_decoder and set(paths) == {_KEY, _VALUE}


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
    # [L, 2, P, W] to [P, L * 2 * W].
    states = np.stack([leaves[_KEY], leaves[_VALUE]], axis=1)
    layers, _, length, width = states.shape
    tensor = states.transpose(2, 0, 1, 3).reshape(length, layers * 2 * width)
    heads = pretrained.config.num_kv_heads
    computed = isinstance(method, PrefixTuning)
    return {TENSOR: np.ascontiguousarray(tensor)}, {
        **prompt_config("PREFIX_TUNING", pretrained, length, width, heads),
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
    width = sizes.num_kv_heads * sizes.head_dim
    expected = {
        "peft_type": "PREFIX_TUNING",
        "token_dim": width,
        "num_transformer_submodules": 1,
        "num_attention_heads": sizes.num_kv_heads,
        "num_layers": sizes.num_layers,
    }
    shape = (sizes.num_layers, 2, width)
    states = read_prompt(expected, values, tensors, pretrained, source, shape)
    keys, values_of_layers = np.ascontiguousarray(states.transpose(2, 1, 0, 3))
    mask = np.ones((sizes.num_layers, len(states)), np.float32)
    leaves = {_KEY: keys, _VALUE: values_of_layers, _MASK: mask}
    if not values.get("prefix_projection"):
        return PTuningV2(len(states)), leaves
    hidden = values.get("encoder_hidden_size")
    if not isinstance(hidden, int) or hidden < 1:
        hidden = PrefixTuning.hidden
    return PrefixTuning(len(states), hidden), leaves
