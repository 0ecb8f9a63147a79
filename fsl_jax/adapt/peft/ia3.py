"""IA3 as PEFT keeps it: one vector for each linear layer, upright where it scales the output.

`ia3 [L, out]` becomes `ia3_l [out, 1]` for each layer, and `ia3_in [L, in]` becomes `ia3_l [1, in]`
of what PEFT calls feedforward modules. GPT-2 has queries, keys and values in one layer there: the
vector of a part that is not scaled is all ones.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.ia3 import IA3
from fsl_jax.adapt.peft.modules import PREFIX, Adapted, Module, target_modules, task_type, unusable
from fsl_jax.adapt.peft.slots import Slot, config_faults, read_slots
from fsl_jax.models.families import FAMILIES, Config, parameter_shapes
from fsl_jax.models.pretrained import Pretrained

_READABLE = "What can be read is IA3 on linear layers, each kind of them in all layers or in none"


def has_vectors_for(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT can hold vectors: one for each linear layer, of its input or of its output.

    Args:
      paths: of the vectors: `layers/attention/key/ia3`.
      config: of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    paths = set(paths)
    held: set[str] = set()
    for layers in _slots(config).values():
        outputs = {f"{layer}/ia3" for layer in layers} & paths
        inputs = {f"{layer}/ia3_in" for layer in layers} & paths
        if (outputs and inputs) or (inputs and len(layers) > 1):
            return False
        held |= outputs | inputs
    return held == paths


def write_ia3(
    leaves: Mapping[str, np.ndarray], method: IA3, pretrained: Pretrained
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the config of a PEFT adapter.

    Args:
      leaves: `ia3 [L, out]` and `ia3_in [L, in]` by path.
      method: the method.
      pretrained: the base model.

    Returns:
      The tensors by PEFT's names, and the values of `adapter_config.json`.
    """
    tensors, modules, outputs, inputs = {}, [], [], []
    for slot, layers in _slots(pretrained.config).items():
        module = Module(slot.module, layers[0], slot.copies)
        modules.append(module)
        if f"{layers[0]}/ia3_in" in leaves:
            inputs.append(Adapted.in_all(module))
            stack = leaves[f"{layers[0]}/ia3_in"][..., None, :]
        elif any(f"{layer}/ia3" in leaves for layer in layers):
            outputs.append(Adapted.in_all(module))
            stack = _joined(leaves, layers)[..., :, None]
        else:
            continue
        for name, index in slot.each():
            tensors[f"{PREFIX}{name}.{slot.part}"] = np.ascontiguousarray(stack[index])
    ends = target_modules(inputs, modules)
    return tensors, {
        "peft_type": "IA3",
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "target_modules": sorted({*target_modules(outputs, modules), *ends}),
        "feedforward_modules": ends,
        "fan_in_fan_out": pretrained.config.family == "gpt2",
        "modules_to_save": None,
    }


def read_ia3(
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
) -> tuple[IA3, dict[str, np.ndarray]]:
    """The method and the leaves of a PEFT adapter.

    Args:
      values: what `adapter_config.json` says.
      tensors: the tensors by PEFT's names.
      pretrained: the base model.
      source: the adapter, for errors.

    Returns:
      The method, and `ia3` and `ia3_in` by path.

    Raises:
      InputError: the config asks for more, or tensors are not known, missing, there twice, or of
        the wrong shape; it lists all.
    """
    config = pretrained.config
    slots = _slots(config)
    found = config_faults(values, "IA3")
    targets = None if values.get("exclude_modules") else values.get("target_modules")
    table = FAMILIES[config.family].names(config)
    filled, more = read_slots(tensors, list(slots), table, targets)
    if found + more:
        raise unusable(source, pretrained, found + more, _READABLE)
    leaves: dict[str, np.ndarray] = {}
    for slot, stack in filled.items():
        if stack.shape[-1] == 1:
            leaves |= _parts(stack[..., 0], slots[slot])
        else:
            leaves[f"{slots[slot][0]}/ia3_in"] = stack[..., 0, :]
    outputs, inputs = (
        [path.removesuffix(leaf) for path in leaves if path.endswith(leaf)]
        for leaf in ("/ia3", "/ia3_in")
    )
    return IA3(_pattern(outputs), _pattern(inputs)), leaves


def _pattern(layers: list[str]) -> str:
    return f"^({'|'.join(map(re.escape, layers))})$" if layers else ""


def _slots(config: Config) -> dict[Slot, list[str]]:
    """The slot of each linear layer of Hugging Face's model, and the paths of what it is here."""
    table, shapes = FAMILIES[config.family].names(config), parameter_shapes(config)
    layers: dict[str, list[str]] = {}
    for entry in sorted(table.names, key=lambda entry: entry.part):
        if entry.path.endswith("/kernel") and entry.path != "unembedding/kernel":
            layers.setdefault(entry.tensor, []).append(entry.path.removesuffix("/kernel"))
    slots = {}
    for tensor, paths in layers.items():
        kernels = [shapes[f"{path}/kernel"] for path in paths]
        width_out = sum(kernel[-1] for kernel in kernels)
        upright, lying = (width_out, 1), (1, kernels[0][-2])
        copies = kernels[0][0] if "{layer}" in tensor else None
        # A vector over the input of several layers in one would scale the input of each.
        allowed = (upright, lying) if len(paths) == 1 else (upright,)
        slots[Slot(tensor.removesuffix(".weight"), "ia3_l", copies, allowed)] = paths
    return slots


def _joined(leaves: Mapping[str, np.ndarray], layers: list[str]) -> np.ndarray:
    """The vectors of layers that are one in Hugging Face's model, `[L, out]`, as one."""
    vectors = [leaves.get(f"{layer}/ia3") for layer in layers]
    present = next(vector for vector in vectors if vector is not None)
    ones = np.ones_like(present)
    return np.concatenate([ones if each is None else each for each in vectors], axis=-1)


def _parts(stack: np.ndarray, layers: list[str]) -> dict[str, np.ndarray]:
    """The vectors of layers by path, out of one for all of them; a query's ones are left out."""
    vectors = dict(zip(layers, np.split(stack, len(layers), axis=-1), strict=True))
    return {
        f"{layer}/ia3": vector
        for layer, vector in vectors.items()
        if len(layers) == 1 or not layer.endswith("/query") or np.any(vector != 1)
    }
