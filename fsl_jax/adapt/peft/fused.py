"""LoRA on the parts of a linear layer that PEFT has whole: GPT-2's queries, keys and values.

A matrix `lora_A` that all parts share goes with a `lora_B` that has the parts side by side. Updates
of some parts alone, each with its own matrices, are such an update of more rank: their `lora_A` are
put one after the other, and each part has zeros where the others have their `lora_B`.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

from fsl_jax.adapt.lora import LoRA
from fsl_jax.adapt.method import Method
from fsl_jax.adapt.peft.modules import Module, linear_layers
from fsl_jax.models.families import FAMILIES, Config

Leaves = dict[str, np.ndarray]


def fused_layers(config: Config) -> list[Module]:
    """The linear layers of Hugging Face's model that the tree has in several parts."""
    parts: dict[str, list[str]] = {}
    for entry in FAMILIES[config.family].names(config).names:
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


def has_layers_for_lora(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT has a linear layer for each that is adapted, or for all its parts together.

    Args:
      paths: of the adapted leaves: `layers/attention/query/lora_a`.
      config: of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    adapted = {path.rpartition("/")[0] for path in paths}
    fused = {part for module in fused_layers(config) for part in module.parts}
    whole = all(set(m.parts) <= adapted or not set(m.parts) & adapted for m in fused_layers(config))
    lengths = any(path.endswith("/lora_magnitude") for path in paths) and adapted & fused
    known = {module.path for module in linear_layers(config)} | fused
    return adapted <= known and whole and not lengths


def with_shared_matrices(method: Method, leaves: Leaves, config: Config) -> tuple[Method, Leaves]:
    """An adapter whose parts of a layer share `lora_a`, so that PEFT can have it.

    Args:
      method: the method; all but LoRA is left as it is, and so is DoRA, whose lengths of the parts
        that are not adapted would be missing.
      leaves: what is saved of it, by path.
      config: of the base model.

    Returns:
      A LoRA of as many times the rank as parts are adapted, and its leaves; or what was given.
    """
    apart = [module for module in fused_layers(config) if _is_apart(module, leaves)]
    if type(method) is not LoRA or method.dora or not apart:
        return method, leaves
    times = max(sum(f"{part}/lora_a" in leaves for part in module.parts) for module in apart)
    rank = times * method.rank
    joined: Leaves = {}
    for module in apart:
        joined |= _joined(module, leaves)
    for path, leaf in (leaves | joined).items():
        axis = {"lora_a": -1, "lora_b": -2}.get(path.rpartition("/")[2])
        joined[path] = leaf if axis is None else _filled_up(leaf, axis, rank)
    layers = sorted({path.rpartition("/")[0] for path in joined if path.endswith("/lora_a")})
    wider = dataclasses.replace(
        method,
        rank=rank,
        alpha=method.alpha * (math.sqrt(times) if method.scaling == "rslora" else times),
        targets=f"^({'|'.join(map(re.escape, layers))})$",
    )
    return wider, joined


def fuse(leaves: Mapping[str, np.ndarray], config: Config) -> Leaves:
    """The leaves with those of the parts of a layer put together, at the path of the module."""
    fused = dict(leaves)
    for module in fused_layers(config):
        if f"{module.parts[0]}/lora_a" in leaves:
            fused[f"{module.path}/lora_a"] = leaves[f"{module.parts[0]}/lora_a"]
            fused[f"{module.path}/lora_b"] = np.concatenate(
                [leaves[f"{part}/lora_b"] for part in module.parts], axis=-1
            )
    return fused


def take_apart(leaves: Mapping[str, np.ndarray], config: Config) -> Leaves:
    """The inverse of `fuse`: the parts share one matrix, and each has its own other one."""
    apart = dict(leaves)
    for module in fused_layers(config):
        if f"{module.path}/lora_a" in leaves:
            lora_a, lora_b = (apart.pop(f"{module.path}/lora_{name}") for name in "ab")
            each = np.split(lora_b, len(module.parts), axis=-1)
            for part, own in zip(module.parts, each, strict=True):
                apart |= {f"{part}/lora_a": lora_a, f"{part}/lora_b": own}
    return apart


def _is_apart(module: Module, leaves: Mapping[str, np.ndarray]) -> bool:
    """Whether parts of a layer are adapted, and not all of them by one shared matrix."""
    found = [leaves.get(f"{part}/lora_a") for part in module.parts]
    present = [leaf for leaf in found if leaf is not None]
    return bool(present) and (
        len(present) < len(found) or any(not np.array_equal(present[0], x) for x in present)
    )


def _joined(module: Module, leaves: Mapping[str, np.ndarray]) -> Leaves:
    adapted = [part for part in module.parts if f"{part}/lora_a" in leaves]
    lora_a = np.concatenate([leaves[f"{part}/lora_a"] for part in adapted], axis=-1)
    blocks = [leaves[f"{part}/lora_b"] for part in adapted]
    found: Leaves = {}
    for part in module.parts:
        own = [x if owner == part else 0 * x for owner, x in zip(adapted, blocks, strict=True)]
        found[f"{part}/lora_a"] = lora_a
        found[f"{part}/lora_b"] = np.concatenate(own, axis=-2)
    return found


def _filled_up(leaf: np.ndarray, axis: int, rank: int) -> np.ndarray:
    widths = [(0, 0)] * leaf.ndim
    widths[axis] = (0, rank - leaf.shape[axis])
    return np.pad(leaf, widths)
