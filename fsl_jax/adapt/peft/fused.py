"""Low-rank updates of parts of a linear layer that PEFT has whole: GPT-2's queries, keys, values.

A matrix `lora_A` that all parts share goes with a `lora_B` that has the parts side by side. Updates
of some parts alone, each with its own matrices, are such an update of more rank: their `lora_A` are
put one after the other, and each part has zeros where the others have their `lora_B`. So it is for
AdaLoRA, whose values go with `lora_A`, and for DoRA, whose lengths go with `lora_B`: a part that is
not adapted has those of its kernel's columns. VeRA is in `fused_vera`.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.peft.modules import Module, filled_up, linear_layers
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.pretrained import Pretrained

Leaves = dict[str, np.ndarray]

_RANK_AXES = {"lora_a": -1, "lora_e": -1, "lora_b": -2}
_SHARED = ("lora_a", "lora_e", "vera_d")
_SIDE_BY_SIDE = ("lora_b", "lora_magnitude", "vera_b")


def fused_layers(config: Config) -> list[Module]:
    """The linear layers of Hugging Face's model that the tree has in several parts."""
    parts: dict[str, list[str]] = {}
    for entry in FAMILIES[config.family].tensor_map(config).rules:
        if entry.path.endswith("/kernel") and entry.part != (0, 1):
            parts.setdefault(entry.tensor, []).append(entry.path.removesuffix("/kernel"))
    return [
        Module(
            tensor.removesuffix(".weight"),
            f"{paths[0].rpartition('/')[0]}/fused",
            config.num_layers if "{layer}" in tensor else None,
            tuple(paths),
        )
        for tensor, paths in parts.items()
    ]


def has_layers_or_parts_for(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT has a linear layer for each that is adapted, or one that it is a part of.

    Args:
      paths: of the adapted leaves: `layers/attention/query/lora_a`.
      config: of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    known = {module.path for module in linear_layers(config)}
    known |= {part for module in fused_layers(config) for part in module.parts}
    return all(path.rpartition("/")[0] in known for path in paths)


def with_shared_matrices(
    method: Method, leaves: Leaves, pretrained: Pretrained
) -> tuple[Method, Leaves]:
    """An adapter whose parts of a layer share `lora_a`, so that PEFT can have it.

    Args:
      method: the method; all but LoRA and AdaLoRA is left as it is.
      leaves: what is saved of it, by path.
      pretrained: the base model.

    Returns:
      A method of as many times the rank as parts are adapted, and its leaves; or what was given.
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
    layers = sorted({path.rpartition("/")[0] for path in joined if path.endswith("/lora_a")})
    return _wider(method, times, f"^({'|'.join(map(re.escape, layers))})$"), joined


def fuse(leaves: Mapping[str, np.ndarray], config: Config) -> Leaves:
    """The leaves with those of the parts of a layer put together, at the path of the module."""
    fused = dict(leaves)
    for module in fused_layers(config):
        for name in (*_SHARED, *_SIDE_BY_SIDE):
            own = [leaves[path] for x in module.parts if (path := f"{x}/{name}") in leaves]
            if own:
                joined = own[0] if name in _SHARED else np.concatenate(own, axis=-1)
                fused[f"{module.path}/{name}"] = joined
    return fused


def take_apart(leaves: Mapping[str, np.ndarray], config: Config) -> Leaves:
    """The inverse of `fuse`: what parts share is each one's, and each has its part of the rest."""
    apart = dict(leaves)
    for module in fused_layers(config):
        count = len(module.parts)
        for name in (*_SHARED, *_SIDE_BY_SIDE):
            whole = apart.pop(f"{module.path}/{name}", None)
            if whole is not None:
                each = [whole] * count if name in _SHARED else np.split(whole, count, axis=-1)
                apart |= {f"{part}/{name}": x for part, x in zip(module.parts, each, strict=True)}
    return apart


def _is_apart(module: Module, leaves: Mapping[str, np.ndarray]) -> bool:
    """Whether parts of a layer are adapted, and not all of them by the same shared leaves."""
    adapted = [part for part in module.parts if f"{part}/lora_a" in leaves]
    if not adapted:
        return False
    shared = [name for name in _SHARED if f"{adapted[0]}/{name}" in leaves]
    return len(adapted) < len(module.parts) or any(
        not np.array_equal(leaves[f"{adapted[0]}/{name}"], leaves[f"{part}/{name}"])
        for name in shared
        for part in adapted
    )


def _joined(module: Module, leaves: Mapping[str, np.ndarray]) -> Leaves:
    adapted = [part for part in module.parts if f"{part}/lora_a" in leaves]
    found: Leaves = {}
    for name in _SHARED:
        own = [leaves[path] for part in adapted if (path := f"{part}/{name}") in leaves]
        if own:
            found |= dict.fromkeys(
                (f"{part}/{name}" for part in module.parts), np.concatenate(own, axis=-1)
            )
    blocks = [leaves[f"{part}/lora_b"] for part in adapted]
    for part in module.parts:
        own = [x if owner == part else 0 * x for owner, x in zip(adapted, blocks, strict=True)]
        found[f"{part}/lora_b"] = np.concatenate(own, axis=-2)
    return found


def _lengths(module: Module, leaves: Mapping[str, np.ndarray], pretrained: Pretrained) -> Leaves:
    """DoRA's lengths of all parts `[L, out]`, where any part is adapted in a layer."""
    given = {part: leaves.get(f"{part}/lora_magnitude") for part in module.parts}
    some = np.any([x.any(axis=-1, keepdims=True) for x in given.values() if x is not None], axis=0)
    kernels = flatten(pretrained.params)
    found: Leaves = {}
    for part, own in given.items():
        norm = np.linalg.norm(np.asarray(kernels[f"{part}/kernel"], np.float32), axis=-2)
        lengths = some * norm
        if own is not None:
            lengths = np.where(own.any(axis=-1, keepdims=True), own, lengths)
        found[f"{part}/lora_magnitude"] = np.asarray(lengths, np.float32)
    return found


def _wider(method: LoRA | AdaLoRA, times: int, targets: str) -> Method:
    """The method with as many times the rank, and the same scale."""
    rank = times * method.rank
    if isinstance(method, AdaLoRA):
        target = times * method.target_rank
        wider = dataclasses.replace(method, rank=rank, target_rank=target, alpha=1.0)
        return dataclasses.replace(wider, alpha=method.scale / wider.scale, targets=targets)
    alpha = method.alpha * (math.sqrt(times) if method.scaling == "rslora" else times)
    return dataclasses.replace(method, rank=rank, alpha=alpha, targets=targets)
