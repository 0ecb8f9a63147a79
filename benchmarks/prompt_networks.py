"""PEFT's networks that compute a prompt or a prefix; adapter files leave them out."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import peft
import torch

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.p_tuning import PTuning
from fsl_jax.adapt.methods.prefix_tuning import PrefixTuning

_KINDS = {"kernel": "weight", "bias": "bias"}
_MAPS = {
    "prefix_tuning": ("transform", ("hidden", "layers")),
    "p_tuning": ("mlp_head", ("first", "second", "third")),
}


def has_network(method: Method) -> bool:
    """Return True if PEFT has the network that a method trains."""
    return isinstance(method, PTuning | PrefixTuning)


def with_network(
    model: torch.nn.Module, method: Method, start: Mapping[str, np.ndarray]
) -> torch.nn.Module:
    """Make PEFT's model with a network that starts from the same values.

    Args:
      model: the base model, an encoder.
      method: a method for which `has_network` is true.
      start: the trained leaves before the first step, by path.

    Returns:
      A model of PEFT, in which the network trains.
    """
    adapted = peft.get_peft_model(model, _config(method))
    network = adapted.prompt_encoder["default"]
    state = network.state_dict()
    named = {
        network_name(path, method.name): (path, leaf)
        for path, leaf in start.items()
        if re.match("(prompt|prefix)_encoder/", path)
    }
    for name in state.keys() & named.keys():
        path, leaf = named.pop(name)
        shape = state[name].shape
        # PEFT's kernels are transposed, and no leaf has more than two axes.
        is_kernel = path.endswith("kernel")
        state[name] = torch.tensor(
            leaf.reshape(shape[::-1]).T if is_kernel else leaf.reshape(shape)
        )
    if named:
        raise ValueError(f"{method.name}: PEFT's network has no {', '.join(named)}")
    network.load_state_dict(state)
    return adapted


def network_name(path: str, method: str) -> str:
    """Return PEFT's name of a leaf of a network.

    Args:
      path: the path of the leaf: `prompt_encoder/first/kernel`.
      method: `p_tuning` or `prefix_tuning`.

    Returns:
      The name in the state of PEFT's prompt encoder.
    """
    layer, _, leaf = path.partition("/")[2].rpartition("/")
    if not layer:
        return "embedding.weight"
    if layer.startswith("lstm"):
        number, direction, source = layer.split("/")
        end = "_reverse" if direction == "backward" else ""
        return f"lstm_head.{_KINDS[leaf]}_{source[0]}h_l{number[-1]}{end}"
    head, maps = _MAPS[method]
    return f"{head}.{2 * maps.index(layer)}.{_KINDS[leaf]}"


def _config(method: Method) -> peft.PeftConfig:
    common: dict[str, Any] = {"task_type": "FEATURE_EXTRACTION"}
    if isinstance(method, PrefixTuning):
        return peft.PrefixTuningConfig(
            num_virtual_tokens=method.length,
            prefix_projection=True,
            encoder_hidden_size=method.hidden,
            **common,
        )
    assert isinstance(method, PTuning)
    return peft.PromptEncoderConfig(
        num_virtual_tokens=method.length,
        encoder_reparameterization_type=method.encoder.upper(),
        encoder_hidden_size=method.hidden,
        encoder_num_layers=method.depth,
        encoder_dropout=0.0,
        **common,
    )
