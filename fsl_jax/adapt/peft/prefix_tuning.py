"""Prefix tuning in PEFT's format: the keys and values of all layers in one tensor.

P-tuning v2 is of the same kind, without the network that computes the prefix.

In an encoder-decoder the decoder's self-attention has the prefix. PEFT's tensor has room for two
attentions per layer, but the part of the second is not used: with N pairs of keys and values, layer
i gets pair 2 i modulo N.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from fsl_jax.adapt.methods.p_tuning_v2 import PTuningV2
from fsl_jax.adapt.methods.prefix_tuning import PrefixTuning
from fsl_jax.adapt.peft.adapter_kind import AdapterKind, Leaves
from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.config_fields import is_count
from fsl_jax.adapt.peft.prompts import (
    PROMPT_FIELDS,
    READABLE,
    TENSOR,
    network_size,
    prompt_config,
    read_prompt,
    submodules,
)
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained


def _paths(config: Config) -> tuple[str, str, str]:
    """Return the paths of the keys, the values and the mask."""
    stack = "decoder/layers" if config.is_encoder_decoder else "layers"
    attention = f"{stack}/attention"
    return f"{attention}/prefix_key", f"{attention}/prefix_value", f"{attention}/prefix_mask"


def _depth(config: Config) -> int:
    """Return the number of layers that have a prefix."""
    return config.layers_of(_paths(config)[0])


def has_prefixes(paths: Iterable[str], config: Config) -> bool:
    """Return True if PEFT can store these leaves: a prefix in all layers that may have one.

    Args:
      paths: the paths of the prefix.
      config: the config of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    return set(paths) == set(_paths(config)[:2])


def _to_peft(
    leaves: Mapping[str, np.ndarray], method: PrefixTuning | PTuningV2, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """Write `prefix_key` and `prefix_value`, `[L, P, W]`."""
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
        **prompt_config(pretrained, length, width, heads),
        "num_layers": layers,
        "prefix_projection": computed,
        "encoder_hidden_size": method.hidden if isinstance(method, PrefixTuning) else None,
    }


def _from_peft(reader: AdapterReader) -> tuple[PrefixTuning | PTuningV2, Leaves]:
    """Read `prefix_key` and `prefix_value`, `[L, P, W]`, with their mask.

    The method is P-tuning v2 if no network computed the prefix; such a network is never saved.
    """
    values, pretrained = reader.values, reader.pretrained
    sizes = pretrained.config
    width, layers, pairs = sizes.num_kv_heads * sizes.head_dim, _depth(sizes), _pairs(values, sizes)
    expected = {
        "token_dim": width,
        "num_transformer_submodules": submodules(sizes),
        "num_attention_heads": sizes.num_kv_heads,
        "num_layers": pairs,
    }
    states = read_prompt(reader, expected, (pairs, 2, width))
    pairs_of_layers = np.arange(layers) * submodules(sizes) % pairs
    keys, values_of_layers = np.ascontiguousarray(states[:, pairs_of_layers].transpose(2, 1, 0, 3))
    mask = np.ones((layers, len(states)), np.float32)
    leaves = dict(zip(_paths(sizes), (keys, values_of_layers, mask), strict=True))
    if not values.get("prefix_projection"):
        return PTuningV2(len(states)), leaves
    largest = 2 * max(sizes.hidden_size, PrefixTuning.hidden)
    hidden = network_size(values.get("encoder_hidden_size"), PrefixTuning.hidden, largest)
    return PrefixTuning(len(states), hidden), leaves


def _pairs(values: Mapping[str, Any], config: Config) -> int:
    """Return the number of pairs of keys and values in a vector; some may belong to no layer."""
    layers, number = _depth(config), cast(Any, values.get("num_layers"))
    if not config.is_encoder_decoder:
        return layers
    return number if is_count(number) and number >= layers else 2 * layers


PREFIX_TUNING_KINDS = tuple(
    AdapterKind(
        "PREFIX_TUNING",
        method,
        has_prefixes,
        _to_peft,
        _from_peft,
        PROMPT_FIELDS,
        READABLE,
    )
    for method in (PrefixTuning, PTuningV2)
)
"""PEFT has one kind for both methods; reading tells them apart."""
