"""AdaLoRA as PEFT keeps it: three tensors for each linear layer, of the ranks that are left.

Values of zero are left out with their vectors, and `rank_pattern` in the config says where they
were.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.peft.adalora_training import (
    TRAINING,
    read_training,
    training_config,
    training_problems,
)
from fsl_jax.adapt.peft.config_fields import count_problems, kind_problems, unsupported_fields
from fsl_jax.adapt.peft.fused import fuse, fused_layers, take_apart
from fsl_jax.adapt.peft.lora_config import WITHOUT_EFFECT, alpha_problems, whole_if_it_is
from fsl_jax.adapt.peft.modules import (
    PREFIX,
    Adapted,
    adapted_paths,
    linear_layers,
    read_modules,
    saved_modules,
    target_modules,
    task_type,
    unusable,
    write_modules,
)
from fsl_jax.adapt.peft.targets import find_adapted, read_targets, target_problems
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.pretrained import Pretrained

_READABLE = "What can be read is AdaLoRA on linear layers"
_PARTS = {"lora_a": "lora_A", "lora_e": "lora_E", "lora_b": "lora_B"}
_READ = TRAINING | {
    "init_lora_weights",
    "init_r",
    "lora_alpha",
    "peft_type",
    "r",
    "rank_pattern",
    "use_rslora",
}


def write_adalora(
    leaves: Mapping[str, np.ndarray], method: AdaLoRA, pretrained: Pretrained
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the config of a PEFT adapter.

    Args:
      leaves: `lora_a [L, in, R]`, `lora_e [L, R]` and `lora_b [L, R, out]` by path. Parts of a
        layer of PEFT's share the first two (see `fused`).
      method: the method.
      pretrained: the base model.

    Returns:
      The tensors by PEFT's names, and the values of `adapter_config.json`.
    """
    modules = [*linear_layers(pretrained.config), *fused_layers(pretrained.config)]
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
        "peft_type": "ADALORA",
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "init_r": method.rank,
        "lora_alpha": whole_if_it_is(method.alpha),
        "lora_dropout": 0.0,
        "target_modules": target_modules(adapted, modules),
        **training_config(method),
        "rank_pattern": {
            name.removeprefix(PREFIX): kept.tolist() for name, kept in pattern.items()
        },
        "bias": "none",
        "fan_in_fan_out": pretrained.config.family == "gpt2",
        "modules_to_save": None,
    }


def read_adalora(
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
) -> tuple[AdaLoRA, dict[str, np.ndarray]]:
    """The method and the leaves of a PEFT adapter.

    Args:
      values: what `adapter_config.json` says.
      tensors: the tensors by PEFT's names.
      pretrained: the base model.
      source: the adapter, for errors.

    Returns:
      The method, and by path `lora_a [L, in, R]`, `lora_e [L, R]`, `lora_b [L, R, out]` and
      `lora_scale [L]`, float32; zeros stand for what was left out.

    Raises:
      InputError: the config asks for more, or tensors are not known, missing, there twice, or of
        the wrong shape; it lists all.
    """
    found = _config_problems(values)
    if unreadable := _setting_problems(values):
        raise unusable(source, pretrained, unreadable + found, _READABLE)
    rank, config = values["init_r"], pretrained.config
    kernels = flatten(pretrained.params)

    def shape_of(each: Adapted, part: str, name: str) -> list[int]:
        width_in, width_out = each.kernel_shape(kernels)
        return {
            "lora_A": [rank, width_in],
            "lora_E": [rank, 1],
            "lora_B": [width_out, rank],
        }[part]

    whole, misfits = _filled_up(tensors, values.get("rank_pattern") or {}, rank)
    modules = [*linear_layers(config), *fused_layers(config)]
    adapted, more = find_adapted(tensors, pretrained, modules, read_targets(values))
    leaves, faulty = read_modules(whole, pretrained, _PARTS, shape_of, modules, adapted)
    if found := found + misfits + more + faulty:
        raise unusable(source, pretrained, found, _READABLE)
    leaves = take_apart(leaves, config)
    paths = adapted_paths(leaves)
    method = _method(values, f"^({'|'.join(map(re.escape, paths))})$")
    for path in paths:
        leaves[f"{path}/lora_e"] = leaves[f"{path}/lora_e"][..., 0, :]
        stack = leaves[f"{path}/lora_e"].shape[:-1]
        leaves[f"{path}/lora_scale"] = np.full(stack, method.scale, np.float32)
    return method, leaves


def _kept(values: np.ndarray) -> np.ndarray:
    """Which values are not zero; the first where all are, since PEFT wants a rank of one."""
    kept = values[:, 0] != 0
    kept[0] |= not kept.any()
    return kept


def _filled_up(
    tensors: Mapping[str, np.ndarray], pattern: Mapping[str, Any], rank: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Tensors of the whole rank, and where the config says another rank than they have."""
    filled, found = dict(tensors), []
    for name, kept in pattern.items():
        module = f"{PREFIX}{name}".removesuffix(".lora_E")
        places = np.flatnonzero(kept)
        if len(kept) != rank:
            found.append(f"rank_pattern has {len(kept)} values for {name}, expected {rank}")
            continue
        for part in _PARTS.values():
            tensor, axis = tensors.get(f"{module}.{part}"), 1 if part == "lora_B" else 0
            if tensor is None or tensor.ndim != 2:
                continue
            if tensor.shape[axis] != len(places):
                found.append(
                    f"wrong shape: {module}.{part} has a rank of {tensor.shape[axis]}, and "
                    f"rank_pattern keeps {len(places)}"
                )
                continue
            shape = [rank if number == axis else size for number, size in enumerate(tensor.shape)]
            whole = np.zeros(shape, tensor.dtype)
            whole[(slice(None), places) if axis else places] = tensor
            filled[f"{module}.{part}"] = whole
    return filled, found


def _method(values: Mapping[str, Any], targets: str) -> AdaLoRA:
    rank, training = values["init_r"], read_training(values)
    training["target_rank"] = min(training["target_rank"], rank)
    return AdaLoRA(rank, alpha=float(values["lora_alpha"]), targets=targets, **training)


def _setting_problems(values: Mapping[str, Any]) -> list[str]:
    """What keeps the settings from being read without which no tensor can be judged."""
    found, pattern = count_problems(values, "init_r"), values.get("rank_pattern") or {}
    if not (isinstance(pattern, dict) and all(isinstance(kept, list) for kept in pattern.values())):
        found.append(f"rank_pattern is {pattern!r}; expected lists of true and false by layer")
    return found + target_problems(values)


def _config_problems(values: Mapping[str, Any]) -> list[str]:
    found = kind_problems(values, "ADALORA") + training_problems(values)
    return found + alpha_problems(values) + unsupported_fields(values, WITHOUT_EFFECT | _READ)
