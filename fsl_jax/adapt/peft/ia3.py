"""IA3 as PEFT keeps it: one vector for each linear layer, upright where it scales the output.

`ia3 [L, out]` becomes `ia3_l [out, 1]` for each layer, and `ia3_in [L, in]` becomes `ia3_l [1, in]`
of what PEFT calls feedforward modules. GPT-2 has queries, keys and values in one layer there: the
vector of a part that is not scaled is all ones, and so is that of a layer which PEFT leaves out.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.methods.ia3 import IA3
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.peft.feedforward import Feedforward, feedforward_modules, feedforward_problems
from fsl_jax.adapt.peft.fused import fused_layers
from fsl_jax.adapt.peft.modules import (
    Adapted,
    Module,
    linear_layers,
    read_modules,
    target_modules,
    task_type,
    unusable,
    write_modules,
)
from fsl_jax.adapt.peft.targets import find_adapted, read_targets, target_problems
from fsl_jax.adapt.peft.vector_config import config_problems
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

Leaves = dict[str, np.ndarray]

_READABLE = "What can be read is IA3 on linear layers, each kind of them at its input or its output"
_PARTS = {"ia3": "ia3_l"}
_READ = frozenset({"feedforward_modules"})


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
    for module in _modules(config):
        outputs = {f"{layer}/ia3" for layer in module.paths} & paths
        inputs = {f"{layer}/ia3_in" for layer in module.paths} & paths
        if (outputs and inputs) or (inputs and module.parts):
            return False
        held |= outputs | inputs
    return held == paths


def with_whole_layers(
    method: Method, leaves: Leaves, pretrained: Pretrained
) -> tuple[Method, Leaves]:
    """An IA3 that scales the parts of a layer which it has once PEFT's format has been read.

    Args:
      method: the method; all but IA3 is left as it is.
      leaves: what is saved of it, by path.
      pretrained: the base model.

    Returns:
      An IA3 of all parts, those that were not scaled having ones, and its leaves; or what was
      given.
    """
    if not isinstance(method, IA3) or not has_vectors_for(leaves, pretrained.config):
        return method, leaves
    whole = dict(leaves)
    for module in fused_layers(pretrained.config):
        if own := {f"{part}/ia3" for part in module.parts} & leaves.keys():
            whole = {path: leaf for path, leaf in whole.items() if path not in own}
            whole |= _parts(_joined(leaves, module), module.parts)
    if whole.keys() == leaves.keys():
        return method, leaves
    return dataclasses.replace(method, outputs=_pattern(whole, "/ia3")), whole


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
    modules, outputs, inputs = _modules(pretrained.config), [], []
    vectors = {}
    for module in modules:
        if f"{module.path}/ia3_in" in leaves:
            inputs.append(Adapted.in_all(module))
            vectors[f"{module.path}/ia3"] = leaves[f"{module.path}/ia3_in"][..., :, None]
        elif any(f"{layer}/ia3" in leaves for layer in module.paths):
            outputs.append(Adapted.in_all(module))
            vectors[f"{module.path}/ia3"] = _joined(leaves, module)[..., None, :]
    ends = feedforward_modules(inputs, outputs, modules)
    return write_modules(vectors, [*outputs, *inputs], _PARTS), {
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
      The method, and `ia3 [L, out]` and `ia3_in [L, in]` by path, float32, with ones in the layers
      that are left out.

    Raises:
      InputError: the config asks for more, names what is not there, or tensors are not known,
        missing, there twice, or of the wrong shape; it lists all.
    """
    found = config_problems(values, "IA3", _READ)
    if unreadable := target_problems(values) + feedforward_problems(values):
        raise unusable(source, pretrained, unreadable + found, _READABLE)
    modules, kernels = _modules(pretrained.config), flatten(pretrained.params)
    adapted, more = find_adapted(tensors, pretrained, modules, read_targets(values))
    feedforward = Feedforward.read(values, tensors)

    def shape_of(each: Adapted, part: str, name: str) -> list[int]:
        width_in, width_out = each.kernel_shape(kernels)
        return [1, width_in] if feedforward.has(name) else [width_out, 1]

    vectors, faulty = read_modules(tensors, pretrained, _PARTS, shape_of, modules, adapted)
    if found := found + more + feedforward.misfits(adapted) + faulty:
        raise unusable(source, pretrained, found, _READABLE)
    leaves: dict[str, np.ndarray] = {}
    for each in adapted:
        stack = vectors[f"{each.module.path}/ia3"]
        stack = each.with_rest(stack, np.ones_like(stack))
        if feedforward.has(next(name for name, _ in each.each())):
            leaves[f"{each.module.path}/ia3_in"] = stack[..., :, 0]
        else:
            leaves |= _parts(stack[..., 0, :], each.paths)
    return IA3(_pattern(leaves, "/ia3"), _pattern(leaves, "/ia3_in")), leaves


def _pattern(leaves: Iterable[str], end: str) -> str:
    layers = [path.removesuffix(end) for path in leaves if path.endswith(end)]
    return f"^({'|'.join(map(re.escape, layers))})$" if layers else ""


def _modules(config: Config) -> list[Module]:
    return [*linear_layers(config), *fused_layers(config)]


def _joined(leaves: Mapping[str, np.ndarray], module: Module) -> np.ndarray:
    """The vectors of layers that are one in Hugging Face's model, `[L, out]`, as one."""
    vectors = [leaves.get(f"{layer}/ia3") for layer in module.paths]
    present = next(vector for vector in vectors if vector is not None)
    ones = np.ones_like(present)
    return np.concatenate([ones if each is None else each for each in vectors], axis=-1)


def _parts(stack: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
    """The vectors of layers by path, out of one for all of them; a query's ones are left out."""
    vectors = dict(zip(layers, np.split(stack, len(layers), axis=-1), strict=True))
    return {
        f"{layer}/ia3": vector
        for layer, vector in vectors.items()
        if len(layers) == 1 or not layer.endswith("/query") or np.any(vector != 1)
    }
