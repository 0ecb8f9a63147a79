"""Low-rank updates of parts of one PEFT layer: GPT-2's queries, keys and values.

PEFT has one `lora_A` for such a layer, and a `lora_B` with the columns of all parts. Here each part
may have its own matrices. They become one update of a larger rank: the parts' `lora_A` are joined
along the rank, and the `lora_B` of a part is zero at the ranks of the other parts. AdaLoRA's values
are joined like `lora_A`, DoRA's lengths like `lora_B`; a part that is not adapted gets the lengths
of its kernel's columns. `fused_vera` does the same for VeRA.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping

import numpy as np

from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.peft.module_tensors import filled_up
from fsl_jax.adapt.peft.modules import PeftModule, linear_layers
from fsl_jax.adapt.peft.targets import pattern_of
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.pretrained import Pretrained

Leaves = dict[str, np.ndarray]

_RANK_AXES = {"lora_a": -1, "lora_e": -1, "lora_b": -2}
_SHARED = ("lora_a", "lora_e", "vera_d")
_SIDE_BY_SIDE = ("lora_b", "lora_magnitude", "vera_b")


def fused_layers(config: Config) -> list[PeftModule]:
    """Return the linear layers of Hugging Face's model that the tree splits into several parts."""
    parts: dict[str, list[str]] = {}
    for entry in FAMILIES[config.family].tensor_map(config).rules:
        if entry.path.endswith("/kernel") and entry.part != (0, 1):
            parts.setdefault(entry.tensor, []).append(entry.path.removesuffix("/kernel"))
    return [
        PeftModule(
            tensor.removesuffix(".weight"),
            f"{paths[0].rpartition('/')[0]}/fused",
            config.layers_of(paths[0]) if "{layer}" in tensor else None,
            tuple(paths),
        )
        for tensor, paths in parts.items()
    ]


def all_linear_layers(config: Config) -> list[PeftModule]:
    """Return the linear layers of Hugging Face's model, with those of several parts last."""
    return [*linear_layers(config), *fused_layers(config)]


def has_layers_or_parts_for(paths: Iterable[str], config: Config) -> bool:
    """Return True if each adapted layer is a linear layer in PEFT, or a part of one.

    Args:
      paths: the paths of the adapted leaves, such as `layers/attention/query/lora_a`.
      config: the config of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    known = {path for module in all_linear_layers(config) for path in module.paths}
    return all(path.rpartition("/")[0] in known for path in paths)


def with_shared_matrices(
    method: Method, leaves: Leaves, pretrained: Pretrained
) -> tuple[Method, Leaves]:
    """Return an adapter in which the parts of a layer share `lora_a`, as PEFT's format requires.

    Args:
      method: the method; any method except LoRA and AdaLoRA is returned unchanged.
      leaves: its saved leaves by path.
      pretrained: the base model.

    Returns:
      A method with its rank multiplied by the number of adapted parts, and its leaves; or the
      unchanged arguments.
    """
    apart = [module for module in fused_layers(pretrained.config) if _is_apart(module, leaves)]
    if not isinstance(method, LoRA | AdaLoRA) or not apart:
        return method, leaves
    times = max(sum(f"{part}/lora_a" in leaves for part in module.parts) for module in apart)
    joined: Leaves = {}
    for module in apart:
        joined |= _joined(module, leaves)
        if isinstance(method, LoRA) and method.dora:
            joined |= _lengths(module, leaves, pretrained)
    for path, leaf in (leaves | joined).items():
        axis = _RANK_AXES.get(path.rpartition("/")[2])
        joined[path] = leaf if axis is None else filled_up(leaf, axis, times * method.rank)
    layers = {path.rpartition("/")[0] for path in joined if path.endswith("/lora_a")}
    return _wider(method, times, pattern_of(sorted(layers))), joined


def fuse(leaves: Mapping[str, np.ndarray], config: Config) -> Leaves:
    """Return the leaves, with those of a layer's parts joined at the path of the module."""
    fused = dict(leaves)
    for module in fused_layers(config):
        for name in (*_SHARED, *_SIDE_BY_SIDE):
            part_leaves = [
                leaves[path] for part in module.parts if (path := f"{part}/{name}") in leaves
            ]
            if part_leaves:
                joined = part_leaves[0] if name in _SHARED else np.concatenate(part_leaves, axis=-1)
                fused[f"{module.path}/{name}"] = joined
    return fused


def take_apart(leaves: Mapping[str, np.ndarray], config: Config) -> Leaves:
    """Undo `fuse`: each part gets the shared leaves, and its columns of the others."""
    apart = dict(leaves)
    for module in fused_layers(config):
        count = len(module.parts)
        for name in (*_SHARED, *_SIDE_BY_SIDE):
            whole = apart.pop(f"{module.path}/{name}", None)
            if whole is not None:
                pieces = [whole] * count if name in _SHARED else np.split(whole, count, axis=-1)
                apart |= {f"{part}/{name}": x for part, x in zip(module.parts, pieces, strict=True)}
    return apart


def _is_apart(module: PeftModule, leaves: Mapping[str, np.ndarray]) -> bool:
    """Return True if parts of a layer are adapted, but not all with the same shared leaves."""
    adapted = [part for part in module.parts if f"{part}/lora_a" in leaves]
    if not adapted:
        return False
    shared = [name for name in _SHARED if f"{adapted[0]}/{name}" in leaves]
    return len(adapted) < len(module.parts) or any(
        not np.array_equal(leaves[f"{adapted[0]}/{name}"], leaves[f"{part}/{name}"])
        for name in shared
        for part in adapted
    )


def _joined(module: PeftModule, leaves: Mapping[str, np.ndarray]) -> Leaves:
    adapted = [part for part in module.parts if f"{part}/lora_a" in leaves]
    joined: Leaves = {}
    for name in _SHARED:
        part_leaves = [leaves[path] for part in adapted if (path := f"{part}/{name}") in leaves]
        if part_leaves:
            joined |= dict.fromkeys(
                (f"{part}/{name}" for part in module.parts), np.concatenate(part_leaves, axis=-1)
            )
    blocks = [leaves[f"{part}/lora_b"] for part in adapted]
    for part in module.parts:
        columns = [x if owner == part else 0 * x for owner, x in zip(adapted, blocks, strict=True)]
        joined[f"{part}/lora_b"] = np.concatenate(columns, axis=-2)
    return joined


def _lengths(
    module: PeftModule, leaves: Mapping[str, np.ndarray], pretrained: Pretrained
) -> Leaves:
    """Return DoRA's lengths of all parts `[L, out]`, zero in layers where no part is adapted."""
    magnitudes = {part: leaves.get(f"{part}/lora_magnitude") for part in module.parts}
    some = np.any(
        [x.any(axis=-1, keepdims=True) for x in magnitudes.values() if x is not None], axis=0
    )
    kernels = flatten(pretrained.params)
    by_path: Leaves = {}
    for part, magnitude in magnitudes.items():
        norm = np.linalg.norm(np.asarray(kernels[f"{part}/kernel"], np.float32), axis=-2)
        lengths = some * norm
        if magnitude is not None:
            lengths = np.where(magnitude.any(axis=-1, keepdims=True), magnitude, lengths)
        by_path[f"{part}/lora_magnitude"] = np.asarray(lengths, np.float32)
    return by_path


def _wider(method: LoRA | AdaLoRA, times: int, targets: str) -> Method:
    """Return the method with a multiple of its rank and the same scale."""
    rank = times * method.rank
    if isinstance(method, AdaLoRA):
        target = times * method.target_rank
        wider = dataclasses.replace(method, rank=rank, target_rank=target, alpha=1.0)
        return dataclasses.replace(wider, alpha=method.scale / wider.scale, targets=targets)
    alpha = method.alpha * (math.sqrt(times) if method.scaling == "rslora" else times)
    return dataclasses.replace(method, rank=rank, alpha=alpha, targets=targets)
