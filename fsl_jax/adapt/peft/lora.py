"""LoRA as PEFT keeps it: the names and the layout of its tensors, and its config.

An adapter that is written so is read by PEFT, and by servers that take PEFT's directories. A leaf
is one stack for all layers here, `lora_a [L, in, R]`; PEFT has a tensor for each layer, transposed
as PyTorch's weights are: `lora_A.weight [R, in]`.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.lora import LoRA
from fsl_jax.adapt.peft.lora_config import config_faults, read_config
from fsl_jax.adapt.peft.modules import (
    adapted_paths,
    linear_layers,
    read_modules,
    target_modules,
    task_type,
    unusable,
    write_modules,
)
from fsl_jax.models.pretrained import Pretrained

_READABLE = (
    "What can be read is LoRA of one rank on linear layers, each kind of them in all layers or in "
    "none"
)
_PARTS = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight"}


def write_lora(
    leaves: Mapping[str, np.ndarray], method: LoRA, pretrained: Pretrained
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the config of a PEFT adapter.

    Args:
      leaves: `lora_a [L, in, R]` and `lora_b [L, R, out]` by path, R being the method's rank.
      method: the method.
      pretrained: the base model.

    Returns:
      The tensors by PEFT's names, and the values of `adapter_config.json`.
    """
    modules = linear_layers(pretrained.config)
    chosen = [module for module in modules if f"{module.path}/lora_a" in leaves]
    return write_modules(leaves, chosen, _PARTS), {
        "peft_type": "LORA",
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "r": method.rank,
        "lora_alpha": int(method.alpha) if method.alpha.is_integer() else method.alpha,
        "lora_dropout": 0.0,
        "target_modules": target_modules(chosen, modules),
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
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

    def shape_of(part: str, kernel: tuple[int, ...]) -> list[int]:
        return [lora.rank, kernel[0]] if part == _PARTS["lora_a"] else [kernel[1], lora.rank]

    leaves, found = read_modules(tensors, pretrained, _PARTS, shape_of, lora.targets)
    if found:
        raise unusable(source, pretrained, found, _READABLE)
    paths = adapted_paths(leaves)
    for path in paths:
        stack = leaves[f"{path}/lora_a"].shape[:-2]
        leaves[f"{path}/lora_scale"] = np.full(stack, lora.scale, np.float32)
    targets = f"^({'|'.join(map(re.escape, paths))})$"
    return LoRA(lora.rank, float(lora.scale * lora.rank), targets), leaves
