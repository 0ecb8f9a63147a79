"""VeRA in PEFT's format: two vectors for each linear layer, and the two random matrices.

PEFT can leave out the matrices and draw them again. It draws them with PyTorch's generator, so an
adapter without them cannot be read here.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from fsl_jax.adapt.methods.vera import VeRA, format_columns
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
from fsl_jax.adapt.peft.fused_vera import columns_of_parts
from fsl_jax.adapt.peft.lora_config import LOW_RANK_FIELDS
from fsl_jax.adapt.peft.module_tensors import read_adapted, saved_modules, write_modules
from fsl_jax.adapt.peft.modules import AdaptedModule, target_modules
from fsl_jax.adapt.peft.targets import pattern_of, target_problems
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

DEFAULT_RANK = 256
"""PEFT's default of `r`."""

_PARTS = {"vera_d": "vera_lambda_d", "vera_b": "vera_lambda_b"}
_MATRICES = {"vera/a": "base_model.vera_A", "vera/b": "base_model.vera_B"}


def has_targets_for(paths: Iterable[str], config: Config) -> bool:
    """Return True if each adapted layer is a linear layer in PEFT, or a part of one.

    Args:
      paths: the paths of the saved leaves.
      config: the config of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    return has_layers_or_parts_for((path for path in paths if path not in _MATRICES), config)


def _to_peft(
    leaves: Mapping[str, np.ndarray], method: VeRA, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """Write `vera_d [L, R]` and `vera_b [L, out]` of each layer, and `vera/a` and `vera/b`.

    Parts of one PEFT layer share the first (see `fused_vera`).
    """
    modules = all_linear_layers(pretrained.config)
    leaves = fuse(leaves, pretrained.config)
    adapted = saved_modules(leaves, modules, _PARTS)
    matrices = {name: np.ascontiguousarray(leaves[path].T) for path, name in _MATRICES.items()}
    return write_modules(leaves, adapted, _PARTS) | matrices, {
        "r": method.rank,
        "target_modules": target_modules(adapted, modules),
        "projection_prng_key": method.projection_key,
        "save_projection": True,
        "vera_dropout": 0.0,
        "d_initial": method.initial,
        "bias": "none",
        "modules_to_save": None,
    }


def _from_peft(reader: AdapterReader) -> tuple[VeRA, Leaves]:
    """Read `vera_d [L, R]` and `vera_b [L, out]` of each layer, and `vera/a` and `vera/b`.

    The method's key is -1 unless the matrices are those that PEFT's key gives here.
    """
    values, tensors, pretrained = reader.values, reader.tensors, reader.pretrained
    reader.report(_projection_problems(values))
    rank, kernels = values.get("r", DEFAULT_RANK), flatten(pretrained.params)
    reader.require_none(count_problems({"r": rank}, "r") + target_problems(values))
    vectors = {name: tensor for name, tensor in tensors.items() if name not in _MATRICES.values()}

    def shape_of(module: AdaptedModule, part: str, name: str) -> list[int]:
        return [rank] if part == _PARTS["vera_d"] else [module.kernel_shape(kernels)[1]]

    modules = adaptable_layers(reader)
    leaves, adapted = read_adapted(reader, vectors, _PARTS, shape_of, modules)
    kernel_shapes = [module.kernel_shape(kernels) for module in adapted]
    reader.report(_matrix_problems(tensors, rank, kernel_shapes))
    reader.finish()
    leaves = take_apart(leaves, pretrained.config)
    columns = columns_of_parts([module.module for module in adapted], leaves)
    leaves |= {path: np.float32(tensors[name].T) for path, name in _MATRICES.items()}
    method = VeRA(
        rank,
        pattern_of(sorted(path for module in adapted for path in module.paths)),
        projection_key=_key(values),
        columns=format_columns(columns),
    )
    if method.projection_key >= 0:
        drawn = flatten(method.extend(pretrained.params, jax.random.key(0)))
        if any(not np.array_equal(drawn[path], leaves[path]) for path in _MATRICES):
            method = dataclasses.replace(method, projection_key=-1)
    return method, leaves


def _key(values: Mapping[str, Any]) -> int:
    """Return the key in the config, or -1 without a key that is valid here."""
    key = values.get("projection_prng_key", 0)
    return key if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < 2**63 else -1


def _projection_problems(values: Mapping[str, Any]) -> list[str]:
    """Return a line if the config says that the random matrices are not saved."""
    if values.get("save_projection", True):
        return []
    return [
        f"save_projection is {values['save_projection']!r}: PEFT draws the random matrices "
        "again from projection_prng_key, by PyTorch's generator. Save the adapter from PEFT "
        "with save_projection=True"
    ]


def _matrix_problems(
    tensors: Mapping[str, np.ndarray], rank: int, kernels: list[tuple[int, int]]
) -> list[str]:
    """List the problems of the random matrices, which are as large as the widest layers."""
    problems = []
    widest_in, widest_out = (max((k[axis] for k in kernels), default=0) for axis in (0, 1))
    expected = {"base_model.vera_A": [rank, widest_in], "base_model.vera_B": [widest_out, rank]}
    for name, shape in expected.items():
        if name not in tensors:
            problems.append(
                f"missing: {name}, a random matrix that PEFT would draw by PyTorch's generator"
            )
        elif kernels and list(tensors[name].shape) != shape:
            problems.append(f"wrong shape: {name} is {list(tensors[name].shape)}, expected {shape}")
    return problems


VERA_KIND = AdapterKind(
    "VERA",
    VeRA,
    has_targets_for,
    _to_peft,
    _from_peft,
    LOW_RANK_FIELDS
    | {
        "d_initial",
        "init_weights",
        "projection_prng_key",
        "r",
        "save_projection",
        "vera_dropout",
    },
    "What can be read is VeRA on linear layers, with its random matrices",
)
