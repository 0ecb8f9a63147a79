"""PEFT's networks that compute a prompt or a prefix, which its files leave out."""

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
    """Whether PEFT has the network that a method trains."""
    return isinstance(method, PTuning | PrefixTuning)


def with_network(
    model: torch.nn.Module, method: Method, start: Mapping[str, np.ndarray]
) -> torch.nn.Module:
    """PEFT's model with a network that starts from the same numbers.

    Args:
      model: the base model, an encoder.
      method: a method that `has_network`.
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
        # Kernels are transposed there, and no leaf has more than two axes.
        is_kernel = path.endswith("kernel")
        state[name] = torch.tensor(
            leaf.reshape(shape[::-1]).T if is_kernel else leaf.reshape(shape)
        )
    if named:
        raise ValueError(f"{method.name}: PEFT's network has no {', '.join(named)}")
    network.load_state_dict(state)
    return adapted


def network_name(path: str, method: str) -> str:
    """What PEFT calls a leaf of a network.

    Args:
      path: of the leaf: `prompt_encoder/first/kernel`.
      method: `p_tuning` or `prefix_tuning`.

    Returns:
      The name in the state of PEFT's prompt encoder.
    """
    place, _, leaf = path.partition("/")[2].rpartition("/")
    if not place:
        return "embedding.weight"
    if place.startswith("lstm"):
        number, direction, source = place.split("/")
        end = "_reverse" if direction == "backward" else ""
        return f"lstm_head.{_KINDS[leaf]}_{source[0]}h_l{number[-1]}{end}"
    head, maps = _MAPS[method]
    return f"{head}.{2 * maps.index(place)}.{_KINDS[leaf]}"


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
