"""LoRA as PEFT keeps it: the names and the layout of its tensors, and its config.

An adapter that is written so is read by PEFT, and by servers that take PEFT's directories. A leaf
is one stack for all layers here, `lora_a [L, in, R]`; PEFT has a tensor for each layer, transposed
as PyTorch's weights are: `lora_A.weight [R, in]`. Layers that are not adapted have no tensors.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.parts.layer_choice import chosen_layers
from fsl_jax.adapt.peft.fused import fuse, fused_layers, take_apart
from fsl_jax.adapt.peft.lora_config import (
    PeftLora,
    config_problems,
    read_config,
    setting_problems,
    whole_if_it_is,
)
from fsl_jax.adapt.peft.modules import (
    Adapted,
    filled_up,
    linear_layers,
    read_modules,
    saved_modules,
    target_modules,
    task_type,
    unusable,
    write_modules,
)
from fsl_jax.adapt.peft.targets import find_adapted, layers_setting
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.pretrained import Pretrained

_READABLE = "What can be read is LoRA on linear layers"
_PARTS = {
    "lora_a": "lora_A.weight",
    "lora_b": "lora_B.weight",
    "lora_magnitude": "lora_magnitude_vector",
}


def write_lora(
    leaves: Mapping[str, np.ndarray], method: LoRA, pretrained: Pretrained
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the config of a PEFT adapter.

    Args:
      leaves: `lora_a [L, in, R]` and `lora_b [L, R, out]` by path, R being the method's rank, and
        for DoRA `lora_magnitude [L, out]`. Parts of a layer of PEFT's share `lora_a` (see `fused`).
      method: the method, whose start is zero.
      pretrained: the base model.

    Returns:
      The tensors by PEFT's names, and the values of `adapter_config.json`.
    """
    modules = [*linear_layers(pretrained.config), *fused_layers(pretrained.config)]
    leaves = fuse(_in_chosen_layers(leaves, method), pretrained.config)
    adapted = saved_modules(leaves, modules, _PARTS)
    return write_modules(leaves, adapted, _PARTS), {
        "peft_type": "LORA",
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "r": method.rank,
        "lora_alpha": whole_if_it_is(method.alpha),
        "lora_dropout": 0.0,
        "target_modules": target_modules(adapted, modules),
        "bias": "none",
        "fan_in_fan_out": pretrained.config.family == "gpt2",
        "use_rslora": method.scaling == "rslora",
        "use_dora": method.dora,
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
    }


def read_lora(
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
) -> tuple[LoRA, dict[str, np.ndarray]]:
    """The method and the leaves of a PEFT adapter.

    Args:
      values: what `adapter_config.json` says.
      tensors: the tensors by PEFT's names.
      pretrained: the base model.
      source: the adapter, for errors.

    Returns:
      The method, and by path `lora_a [L, in, R]`, `lora_b [L, R, out]` and `lora_scale [L]`,
      float32. R is the largest rank; zeros fill up the others, and stand for what is left out.

    Raises:
      InputError: the config asks for more than LoRA, names what is not there, or tensors are not
        known, missing, there twice, or of the wrong shape; it lists all.
    """
    found = config_problems(values)
    if unreadable := setting_problems(values):
        raise unusable(source, pretrained, unreadable + found, _READABLE)
    lora, config = read_config(values), pretrained.config
    kernels = flatten(pretrained.params)
    parts = _PARTS if lora.dora else {leaf: _PARTS[leaf] for leaf in ("lora_a", "lora_b")}

    def shape_of(each: Adapted, part: str, name: str) -> list[int]:
        (width_in, width_out), rank = each.kernel_shape(kernels), lora.rank_of(name)
        if part == _PARTS["lora_magnitude"]:
            return [width_out]
        return [rank, width_in] if part == _PARTS["lora_a"] else [width_out, rank]

    modules = [*linear_layers(config), *fused_layers(config)]
    adapted, more = find_adapted(tensors, pretrained, modules, lora.targets)
    found += more + lora.idle_patterns([name for each in adapted for name, _ in each.each()])
    leaves, more = read_modules(tensors, pretrained, parts, shape_of, modules, adapted)
    if found + more:
        raise unusable(source, pretrained, found + more, _READABLE)
    method = _method(lora, adapted)
    for each in adapted:
        lora_a, lora_b = (f"{each.module.path}/{part}" for part in ("lora_a", "lora_b"))
        leaves[lora_a] = filled_up(leaves[lora_a], -1, method.rank)
        leaves[lora_b] = filled_up(leaves[lora_b], -2, method.rank)
    return method, take_apart(leaves, config) | _scales(lora, adapted)


def _in_chosen_layers(leaves: Mapping[str, np.ndarray], method: LoRA) -> dict[str, np.ndarray]:
    """The leaves with zeros in the layers that are left out, whose scale is zero."""
    if method.layers == "all":
        return dict(leaves)
    kept = {}
    for path, leaf in leaves.items():
        chosen = chosen_layers("lora's layers", method.layers, len(leaf))
        kept[path] = leaf * chosen.reshape(-1, *[1] * (leaf.ndim - 1))
    return kept


def _method(lora: PeftLora, adapted: Sequence[Adapted]) -> LoRA:
    """The method of the largest rank; where scales differ, the one whose scale layers are given."""
    names = [name for each in adapted for name, _ in each.each()]
    kinds = {(lora.rank_of(name), lora.alpha_of(name)) for name in names}
    method = LoRA(
        max(rank for rank, _ in kinds),
        lora.alpha,
        f"^({'|'.join(map(re.escape, sorted(path for x in adapted for path in x.paths)))})$",
        layers=layers_setting(adapted),
        scaling="rslora" if lora.rank_stabilised else "standard",
        dora=lora.dora,
    )
    if len(kinds) == 1:
        return dataclasses.replace(method, alpha=kinds.pop()[1])
    scales = {lora.scale(*kind) for kind in kinds}
    if len(scales) == 1:
        alpha, scaling = scales.pop() * method.rank, "standard"
    else:
        alpha, scaling = lora.scale(lora.rank, lora.alpha) * method.rank, "given"
    return dataclasses.replace(method, alpha=alpha, scaling=scaling)


def _scales(lora: PeftLora, adapted: Sequence[Adapted]) -> dict[str, np.ndarray]:
    """By path, what the update of each layer is multiplied by; zero where there is none."""
    found: dict[str, np.ndarray] = {}
    for each in adapted:
        scale = np.zeros(() if each.module.copies is None else each.module.copies, np.float32)
        for name, index in each.each():
            scale[index] = lora.scale(lora.rank_of(name), lora.alpha_of(name))
        found |= {f"{path}/lora_scale": scale for path in each.paths}
    return found
