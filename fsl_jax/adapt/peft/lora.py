"""LoRA in PEFT's format: the names and the layout of its tensors, and its config.

PEFT can read such an adapter, as can servers that accept PEFT directories. Here a leaf is one stack
for all layers, `lora_a [L, in, R]`. PEFT has a tensor for each layer, transposed like PyTorch's
weights: `lora_A.weight [R, in]`. Layers that are not adapted have no tensors.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.parts.layer_choice import chosen_layers
from fsl_jax.adapt.peft.adapter_kind import AdapterKind, Leaves
from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.brought_head import adaptable_layers
from fsl_jax.adapt.peft.fused import (
    all_linear_layers,
    fuse,
    has_layers_or_parts_for,
    take_apart,
)
from fsl_jax.adapt.peft.lora_config import (
    LORA_FIELDS,
    PeftLora,
    read_config,
    setting_problems,
    start_problems,
    whole_if_it_is,
)
from fsl_jax.adapt.peft.module_tensors import (
    filled_up,
    read_adapted,
    saved_modules,
    write_modules,
)
from fsl_jax.adapt.peft.modules import AdaptedModule, fan_in_fan_out, target_modules
from fsl_jax.adapt.peft.targets import layers_setting, pattern_of
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.pretrained import Pretrained

_PARTS = {
    "lora_a": "lora_A.weight",
    "lora_b": "lora_B.weight",
    "lora_magnitude": "lora_magnitude_vector",
}


def _to_peft(
    leaves: Mapping[str, np.ndarray], method: LoRA, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """Write `lora_a [L, in, R]`, `lora_b [L, R, out]`, and for DoRA `lora_magnitude [L, out]`.

    R is the method's rank, and its start is zero. Parts of one PEFT layer share `lora_a` (see
    `fused`).
    """
    modules = all_linear_layers(pretrained.config)
    leaves = fuse(_in_chosen_layers(leaves, method), pretrained.config)
    adapted = saved_modules(leaves, modules, _PARTS)
    return write_modules(leaves, adapted, _PARTS), {
        "r": method.rank,
        "lora_alpha": whole_if_it_is(method.alpha),
        "lora_dropout": 0.0,
        "target_modules": target_modules(adapted, modules),
        "bias": "none",
        "fan_in_fan_out": fan_in_fan_out(pretrained.config),
        "use_rslora": method.scaling == "rslora",
        "use_dora": method.dora,
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
    }


def _from_peft(reader: AdapterReader) -> tuple[LoRA, Leaves]:
    """Read `lora_a [L, in, R]`, `lora_b [L, R, out]` and `lora_scale [L]`.

    R is the largest rank; smaller ranks are padded with zeros, and layers that are left out are
    zeros.
    """
    reader.report(start_problems(reader.values))
    reader.require_none(setting_problems(reader.values))
    lora, pretrained = read_config(reader.values), reader.pretrained
    kernels = flatten(pretrained.params)
    parts = _PARTS if lora.dora else {leaf: _PARTS[leaf] for leaf in ("lora_a", "lora_b")}

    def shape_of(module: AdaptedModule, part: str, name: str) -> list[int]:
        (width_in, width_out), rank = module.kernel_shape(kernels), lora.rank_of(name)
        if part == _PARTS["lora_magnitude"]:
            return [width_out]
        return [rank, width_in] if part == _PARTS["lora_a"] else [width_out, rank]

    modules = adaptable_layers(reader)
    leaves, adapted = read_adapted(reader, reader.tensors, parts, shape_of, modules)
    names = [name for module in adapted for name, _ in module.named_copies()]
    reader.report(lora.idle_patterns(names))
    reader.finish()
    method = _method(lora, adapted)
    for module in adapted:
        lora_a, lora_b = (f"{module.path}/{part}" for part in ("lora_a", "lora_b"))
        leaves[lora_a] = filled_up(leaves[lora_a], -1, method.rank)
        leaves[lora_b] = filled_up(leaves[lora_b], -2, method.rank)
    return method, take_apart(leaves, pretrained.config) | _scales(lora, adapted)


def _in_chosen_layers(leaves: Mapping[str, np.ndarray], method: LoRA) -> dict[str, np.ndarray]:
    """Set the leaves to zero in the layers that the method leaves out."""
    if method.layers == "all":
        return dict(leaves)
    kept = {}
    for path, leaf in leaves.items():
        chosen = chosen_layers("lora's layers", method.layers, len(leaf))
        kept[path] = leaf * chosen.reshape(-1, *[1] * (leaf.ndim - 1))
    return kept


def _method(lora: PeftLora, adapted: Sequence[AdaptedModule]) -> LoRA:
    """Return the method with the largest rank; if scales differ, each layer has its own."""
    names = [name for module in adapted for name, _ in module.named_copies()]
    kinds = {(lora.rank_of(name), lora.alpha_of(name)) for name in names}
    method = LoRA(
        max(rank for rank, _ in kinds),
        lora.alpha,
        pattern_of(sorted(path for module in adapted for path in module.paths)),
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


def _scales(lora: PeftLora, adapted: Sequence[AdaptedModule]) -> dict[str, np.ndarray]:
    """Return the factor of each layer's update by path; zero where there is no update."""
    scales: dict[str, np.ndarray] = {}
    for module in adapted:
        scale = np.zeros(() if module.copies is None else module.copies, np.float32)
        for name, index in module.named_copies():
            scale[index] = lora.scale(lora.rank_of(name), lora.alpha_of(name))
        scales |= {f"{path}/lora_scale": scale for path in module.paths}
    return scales


LORA_KIND = AdapterKind(
    "LORA",
    LoRA,
    has_layers_or_parts_for,
    _to_peft,
    _from_peft,
    LORA_FIELDS,
    "What can be read is LoRA on linear layers",
)
