"""IA3 in PEFT's format: one vector for the output or the input of each linear layer.

`ia3 [L, out]` becomes `ia3_l [out, 1]` for each layer. `ia3_in [L, in]` becomes `ia3_l [1, in]` for
each of the layers that PEFT calls feedforward modules. There GPT-2 has queries, keys and values in
one layer. A part that is not scaled gets a vector of ones, as does a layer that PEFT leaves out.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fsl_jax.adapt.methods.ia3 import IA3
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.peft.adapter_kind import AdapterKind, Leaves
from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.brought_head import adaptable_layers
from fsl_jax.adapt.peft.config_fields import VECTOR_FIELDS
from fsl_jax.adapt.peft.feedforward import Feedforward, feedforward_modules, feedforward_problems
from fsl_jax.adapt.peft.fused import all_linear_layers, fused_layers
from fsl_jax.adapt.peft.module_tensors import read_adapted, write_modules
from fsl_jax.adapt.peft.modules import AdaptedModule, PeftModule, fan_in_fan_out, target_modules
from fsl_jax.adapt.peft.targets import pattern_of, target_problems
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

_PARTS = {"ia3": "ia3_l"}


def has_vectors_for(paths: Iterable[str], config: Config) -> bool:
    """Return True if PEFT can store the vectors: one for the input or the output of a layer.

    Args:
      paths: the paths of the vectors, such as `layers/attention/key/ia3`.
      config: the config of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    paths = set(paths)
    held: set[str] = set()
    for module in all_linear_layers(config):
        outputs = {f"{layer}/ia3" for layer in module.paths} & paths
        inputs = {f"{layer}/ia3_in" for layer in module.paths} & paths
        if (outputs and inputs) or (inputs and module.parts):
            return False
        held |= outputs | inputs
    return held == paths


def with_whole_modules(
    method: Method, leaves: Leaves, pretrained: Pretrained
) -> tuple[Method, Leaves]:
    """Return an IA3 that scales all parts of a layer, as PEFT's format requires.

    Args:
      method: the method; any method except IA3 is returned unchanged.
      leaves: its saved leaves by path.
      pretrained: the base model.

    Returns:
      An IA3 of all parts, with ones for those that were not scaled, and its leaves; or the
      unchanged arguments.
    """
    if not isinstance(method, IA3) or not has_vectors_for(leaves, pretrained.config):
        return method, leaves
    whole = dict(leaves)
    for module in fused_layers(pretrained.config):
        if vectors := {f"{part}/ia3" for part in module.parts} & leaves.keys():
            whole = {path: leaf for path, leaf in whole.items() if path not in vectors}
            whole |= _parts(_joined(leaves, module), module.parts)
    if whole.keys() == leaves.keys():
        return method, leaves
    return dataclasses.replace(method, outputs=_pattern(whole, "/ia3")), whole


def _to_peft(
    leaves: Mapping[str, np.ndarray], method: IA3, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """Write `ia3 [L, out]` and `ia3_in [L, in]`."""
    modules, outputs, inputs = all_linear_layers(pretrained.config), [], []
    vectors = {}
    for module in modules:
        if f"{module.path}/ia3_in" in leaves:
            inputs.append(AdaptedModule.in_all(module))
            vectors[f"{module.path}/ia3"] = leaves[f"{module.path}/ia3_in"][..., :, None]
        elif any(f"{layer}/ia3" in leaves for layer in module.paths):
            outputs.append(AdaptedModule.in_all(module))
            vectors[f"{module.path}/ia3"] = _joined(leaves, module)[..., None, :]
    ends = feedforward_modules(inputs, outputs, modules)
    return write_modules(vectors, [*outputs, *inputs], _PARTS), {
        "target_modules": sorted({*target_modules(outputs, modules), *ends}),
        "feedforward_modules": ends,
        "fan_in_fan_out": fan_in_fan_out(pretrained.config),
        "modules_to_save": None,
    }


def _from_peft(reader: AdapterReader) -> tuple[IA3, Leaves]:
    """Read `ia3 [L, out]` and `ia3_in [L, in]`, with ones in the layers that are left out."""
    values, tensors, pretrained = reader.values, reader.tensors, reader.pretrained
    reader.require_none(target_problems(values) + feedforward_problems(values))
    modules, kernels = adaptable_layers(reader), flatten(pretrained.params)
    feedforward = Feedforward.read(values, tensors)

    def shape_of(module: AdaptedModule, part: str, name: str) -> list[int]:
        width_in, width_out = module.kernel_shape(kernels)
        return [1, width_in] if feedforward.has(name) else [width_out, 1]

    vectors, adapted = read_adapted(reader, tensors, _PARTS, shape_of, modules)
    reader.report(feedforward.misfits(adapted))
    reader.finish()
    leaves: dict[str, np.ndarray] = {}
    for module in adapted:
        stack = vectors[f"{module.path}/ia3"]
        stack = module.with_rest(stack, np.ones_like(stack))
        if feedforward.has(next(name for name, _ in module.named_copies())):
            leaves[f"{module.path}/ia3_in"] = stack[..., :, 0]
        else:
            leaves |= _parts(stack[..., 0, :], module.paths)
    return IA3(_pattern(leaves, "/ia3"), _pattern(leaves, "/ia3_in")), leaves


def _pattern(leaves: Iterable[str], end: str) -> str:
    layers = [path.removesuffix(end) for path in leaves if path.endswith(end)]
    return pattern_of(layers) if layers else ""


def _joined(leaves: Mapping[str, np.ndarray], module: PeftModule) -> np.ndarray:
    """Join the vectors of the parts of a module into one `[L, out]`."""
    vectors = [leaves.get(f"{layer}/ia3") for layer in module.paths]
    present = next(vector for vector in vectors if vector is not None)
    ones = np.ones_like(present)
    return np.concatenate([ones if vector is None else vector for vector in vectors], axis=-1)


def _parts(stack: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
    """Split the vector of a module into those of its parts; leave out a query's vector of ones."""
    vectors = dict(zip(layers, np.split(stack, len(layers), axis=-1), strict=True))
    return {
        f"{layer}/ia3": vector
        for layer, vector in vectors.items()
        if len(layers) == 1 or not layer.endswith("/query") or np.any(vector != 1)
    }


IA3_KIND = AdapterKind(
    "IA3",
    IA3,
    has_vectors_for,
    _to_peft,
    _from_peft,
    VECTOR_FIELDS | {"feedforward_modules"},
    "What can be read is IA3 on linear layers, each kind of them at its input or its output",
)
