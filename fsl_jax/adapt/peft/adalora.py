"""AdaLoRA in PEFT's format: three tensors for each linear layer, with the ranks that are left.

Singular values of zero are left out with their vectors, and `rank_pattern` in the config lists the
remaining ones.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.peft.adalora_training import (
    TRAINING,
    read_training,
    training_config,
    training_problems,
)
from fsl_jax.adapt.peft.adapter_kind import AdapterKind, Leaves
from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.brought_head import adaptable_layers
from fsl_jax.adapt.peft.config_fields import count_problems
from fsl_jax.adapt.peft.fused import (
    all_linear_layers,
    fuse,
    has_layers_or_parts_for,
    take_apart,
)
from fsl_jax.adapt.peft.lora_config import (
    DEFAULT_ALPHA,
    LOW_RANK_FIELDS,
    alpha_problems,
    whole_if_it_is,
)
from fsl_jax.adapt.peft.module_tensors import (
    adapted_paths,
    read_adapted,
    saved_modules,
    write_modules,
)
from fsl_jax.adapt.peft.modules import PREFIX, AdaptedModule, fan_in_fan_out, target_modules
from fsl_jax.adapt.peft.targets import pattern_of, target_problems
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.pretrained import Pretrained

DEFAULT_RANK = 12
"""PEFT's default of `init_r`."""

_PARTS = {"lora_a": "lora_A", "lora_e": "lora_E", "lora_b": "lora_B"}


def _to_peft(
    leaves: Mapping[str, np.ndarray], method: AdaLoRA, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """Write `lora_a [L, in, R]`, `lora_e [L, R]` and `lora_b [L, R, out]`.

    Parts of one PEFT layer share the first two (see `fused`).
    """
    modules = all_linear_layers(pretrained.config)
    leaves = fuse(leaves, pretrained.config)
    adapted = saved_modules(leaves, modules, _PARTS)
    whole = write_modules(
        {
            path: leaf[..., None, :] if path.endswith("/lora_e") else leaf
            for path, leaf in leaves.items()
        },
        adapted,
        _PARTS,
    )
    pattern = {name: _kept(whole[name]) for name in whole if name.endswith(".lora_E")}
    tensors = {}
    for name, tensor in whole.items():
        kept = pattern[f"{name.rpartition('.')[0]}.lora_E"]
        tensors[name] = np.ascontiguousarray(
            tensor[:, kept] if name.endswith(".lora_B") else tensor[kept]
        )
    return tensors, {
        "init_r": method.rank,
        "lora_alpha": whole_if_it_is(method.alpha),
        "lora_dropout": 0.0,
        "target_modules": target_modules(adapted, modules),
        **training_config(method),
        "rank_pattern": {
            name.removeprefix(PREFIX): kept.tolist() for name, kept in pattern.items()
        },
        "bias": "none",
        "fan_in_fan_out": fan_in_fan_out(pretrained.config),
        "modules_to_save": None,
    }


def _from_peft(reader: AdapterReader) -> tuple[AdaLoRA, Leaves]:
    """Read `lora_a [L, in, R]`, `lora_e [L, R]`, `lora_b [L, R, out]` and `lora_scale [L]`.

    Values that were left out become zeros.
    """
    values, pretrained = reader.values, reader.pretrained
    reader.report(training_problems(values) + alpha_problems(values))
    reader.require_none(_setting_problems(values, pretrained))
    rank, kernels = values.get("init_r", DEFAULT_RANK), flatten(pretrained.params)

    def shape_of(module: AdaptedModule, part: str, name: str) -> list[int]:
        width_in, width_out = module.kernel_shape(kernels)
        return {
            "lora_A": [rank, width_in],
            "lora_E": [rank, 1],
            "lora_B": [width_out, rank],
        }[part]

    whole, problems = _filled_up(reader.tensors, values.get("rank_pattern") or {}, rank)
    reader.report(problems)
    modules = adaptable_layers(reader)
    leaves, _ = read_adapted(reader, whole, _PARTS, shape_of, modules)
    reader.finish()
    leaves = take_apart(leaves, pretrained.config)
    paths = adapted_paths(leaves)
    method = _method(values, pattern_of(paths))
    for path in paths:
        leaves[f"{path}/lora_e"] = leaves[f"{path}/lora_e"][..., 0, :]
        stack = leaves[f"{path}/lora_e"].shape[:-1]
        leaves[f"{path}/lora_scale"] = np.full(stack, method.scale, np.float32)
    return method, leaves


def _kept(values: np.ndarray) -> np.ndarray:
    """Return True for nonzero values, or for the first if all are zero: PEFT needs a rank of 1."""
    kept = values[:, 0] != 0
    kept[0] |= not kept.any()
    return kept


def _filled_up(
    tensors: Mapping[str, np.ndarray], pattern: Mapping[str, Any], rank: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the tensors at their full rank, and the problems with ranks in the config."""
    filled, problems = dict(tensors), []
    for name, kept in pattern.items():
        module = f"{PREFIX}{name}".removesuffix(".lora_E")
        positions = np.flatnonzero(kept)
        if len(kept) != rank:
            problems.append(f"rank_pattern has {len(kept)} values for {name}, expected {rank}")
            continue
        for part in _PARTS.values():
            tensor, axis = tensors.get(f"{module}.{part}"), 1 if part == "lora_B" else 0
            if tensor is None or tensor.ndim != 2:
                continue
            if tensor.shape[axis] != len(positions):
                problems.append(
                    f"wrong shape: {module}.{part} has a rank of {tensor.shape[axis]}, and "
                    f"rank_pattern keeps {len(positions)}"
                )
                continue
            shape = [rank if number == axis else size for number, size in enumerate(tensor.shape)]
            whole = np.zeros(shape, tensor.dtype)
            whole[(slice(None), positions) if axis else positions] = tensor
            filled[f"{module}.{part}"] = whole
    return filled, problems


def _method(values: Mapping[str, Any], targets: str) -> AdaLoRA:
    rank, training = values.get("init_r", DEFAULT_RANK), read_training(values)
    training["target_rank"] = min(training["target_rank"], rank)
    return AdaLoRA(
        rank, alpha=float(values.get("lora_alpha", DEFAULT_ALPHA)), targets=targets, **training
    )


def _setting_problems(values: Mapping[str, Any], pretrained: Pretrained) -> list[str]:
    """List problems of the fields that the shapes of tensors depend on."""
    rank, pattern = values.get("init_r", DEFAULT_RANK), values.get("rank_pattern") or {}
    problems = count_problems({"init_r": rank}, "init_r")
    widest = max(
        max(leaf.shape[-2:])
        for path, leaf in flatten(pretrained.params).items()
        if path.endswith("/kernel")
    )
    if not problems and rank > max(widest, DEFAULT_RANK):
        problems.append(f"init_r is {rank}, and the widest layer has {widest} inputs or outputs")
    if not (isinstance(pattern, dict) and all(map(_is_mask, pattern.values()))):
        problems.append(f"rank_pattern is {pattern!r}; expected lists of true and false by layer")
    return problems + target_problems(values)


def _is_mask(kept: Any) -> bool:
    return isinstance(kept, list) and all(isinstance(value, bool) for value in kept)


ADALORA_KIND = AdapterKind(
    "ADALORA",
    AdaLoRA,
    has_layers_or_parts_for,
    _to_peft,
    _from_peft,
    LOW_RANK_FIELDS
    | TRAINING
    | {"init_lora_weights", "init_r", "lora_alpha", "r", "rank_pattern", "use_rslora"},
    "What can be read is AdaLoRA on linear layers",
)
