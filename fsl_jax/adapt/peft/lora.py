"""LoRA as PEFT keeps it: the names and the layout of its tensors, and its config.

An adapter that is written so is read by PEFT, and by servers that take PEFT's directories. A leaf
is one stack for all layers here, `lora_a [L, in, R]`; PEFT has a tensor for each layer, transposed
as PyTorch's weights are: `lora_A.weight [R, in]`. Layers that are not adapted have no tensors.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.layer_choice import chosen_layers
from fsl_jax.adapt.lora import LoRA
from fsl_jax.adapt.peft.fused import fuse, fused_layers, take_apart
from fsl_jax.adapt.peft.lora_config import PeftLora, config_faults, read_config
from fsl_jax.adapt.peft.modules import (
    PREFIX,
    Module,
    adapted_paths,
    linear_layers,
    named_layers,
    read_modules,
    target_modules,
    task_type,
    unusable,
    write_modules,
)
from fsl_jax.models.pretrained import Pretrained

_READABLE = (
    "What can be read is LoRA of one rank on linear layers, each kind of them in the same layers "
    "or in none"
)
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
    leaves = fuse(leaves, pretrained.config)
    chosen = [module for module in modules if f"{module.path}/lora_a" in leaves]
    tensors, targets = write_modules(leaves, chosen, _PARTS), target_modules(chosen, modules)
    if method.layers != "all":
        targets = [name for module in chosen for name in _adapted(module, method)]
        starts = tuple(f"{PREFIX}{name}." for name in targets)
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith(starts)}
    return tensors, {
        "peft_type": "LORA",
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "r": method.rank,
        "lora_alpha": int(method.alpha) if method.alpha.is_integer() else method.alpha,
        "lora_dropout": 0.0,
        "target_modules": targets,
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
      The method, whose alpha is the one that gives the adapter's scale over its rank, and by path
      `lora_a [L, in, R]`, `lora_b [L, R, out]` and `lora_scale [L]`, float32.

    Raises:
      InputError: the config asks for more than LoRA of one rank, or tensors are not known, missing,
        there twice, or of the wrong shape; it lists all.
    """
    if found := config_faults(values):
        raise unusable(source, pretrained, found, _READABLE)
    lora = read_config(values)
    parts = _PARTS if lora.dora else {leaf: _PARTS[leaf] for leaf in ("lora_a", "lora_b")}

    def shape_of(part: str, kernel: tuple[int, ...]) -> list[int]:
        width_in, width_out = kernel
        if part == _PARTS["lora_magnitude"]:
            return [width_out]
        return [lora.rank, width_in] if part == _PARTS["lora_a"] else [width_out, lora.rank]

    fused = [] if lora.dora else fused_layers(pretrained.config)
    only, found = _chosen_layers(lora, [*linear_layers(pretrained.config), *fused], pretrained)
    if not found:
        leaves, found = read_modules(
            tensors, pretrained, parts, shape_of, lora.targets, only, fused
        )
    if found:
        raise unusable(source, pretrained, found, _READABLE)
    leaves = take_apart(leaves, pretrained.config)
    method = LoRA(
        lora.rank,
        lora.alpha,
        f"^({'|'.join(map(re.escape, adapted_paths(leaves)))})$",
        layers="all" if only is None else ",".join(map(str, sorted(only))),
        scaling="rslora" if lora.rank_stabilised else "standard",
        dora=lora.dora,
    )
    for path in adapted_paths(leaves):
        scale = np.full(leaves[f"{path}/lora_a"].shape[:-2], method.scale, np.float32)
        if only is not None:
            scale[~np.isin(np.arange(len(scale)), sorted(only))] = 0
        leaves[f"{path}/lora_scale"] = scale
    return method, leaves


def _chosen_layers(
    lora: PeftLora, modules: list[Module], pretrained: Pretrained
) -> tuple[Collection[int] | None, list[str]]:
    """The numbers of the layers that are adapted, None for all, and what is wrong with them."""
    if lora.layers is None:
        return named_layers(modules, pretrained, lora.targets), []
    depth = max(module.copies or 0 for module in modules)
    absent = [number for number in sorted(lora.layers) if not 0 <= number < depth]
    if absent:
        last = depth - 1
        return lora.layers, [
            f"layers_to_transform has {absent}; the layers are numbered from 0 to {last}"
        ]
    return lora.layers, []


def _adapted(module: Module, method: LoRA) -> list[str]:
    """The names of the copies of a linear layer in the layers that are adapted."""
    if module.copies is None:
        return []
    chosen = chosen_layers("lora's layers", method.layers, module.copies)
    return [name for name, (number,) in module.each() if chosen[number]]
