"""VeRA as PEFT keeps it: two vectors for each linear layer, and the two random matrices.

PEFT can leave the matrices out and draw them again. It does so with PyTorch's generator, so that an
adapter without them cannot be read here.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath

from fsl_jax.adapt.methods.vera import VeRA, format_columns
from fsl_jax.adapt.peft.config_fields import count_problems, kind_problems, unsupported_fields
from fsl_jax.adapt.peft.fused import fuse, fused_layers, has_layers_or_parts_for, take_apart
from fsl_jax.adapt.peft.fused_vera import columns_of_parts
from fsl_jax.adapt.peft.lora_config import WITHOUT_EFFECT
from fsl_jax.adapt.peft.modules import (
    Adapted,
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
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

_READABLE = "What can be read is VeRA on linear layers, with its random matrices"
_PARTS = {"vera_d": "vera_lambda_d", "vera_b": "vera_lambda_b"}
_MATRICES = {"vera/a": "base_model.vera_A", "vera/b": "base_model.vera_B"}
_READ = frozenset(
    {
        "d_initial",
        "init_weights",
        "peft_type",
        "projection_prng_key",
        "r",
        "save_projection",
        "vera_dropout",
    }
)


def has_targets_for(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT has a linear layer for each that is adapted, or one that it is a part of.

    Args:
      paths: of the saved leaves.
      config: of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    return has_layers_or_parts_for((path for path in paths if path not in _MATRICES), config)


def write_vera(
    leaves: Mapping[str, np.ndarray], method: VeRA, pretrained: Pretrained
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the config of a PEFT adapter.

    Args:
      leaves: `vera_d [L, R]` and `vera_b [L, out]` by path, and `vera/a` and `vera/b`. Parts of a
        layer of PEFT's share the first (see `fused_vera`).
      method: the method.
      pretrained: the base model.

    Returns:
      The tensors by PEFT's names, and the values of `adapter_config.json`.
    """
    modules = [*linear_layers(pretrained.config), *fused_layers(pretrained.config)]
    leaves = fuse(leaves, pretrained.config)
    adapted = saved_modules(leaves, modules, _PARTS)
    matrices = {name: np.ascontiguousarray(leaves[path].T) for path, name in _MATRICES.items()}
    return write_modules(leaves, adapted, _PARTS) | matrices, {
        "peft_type": "VERA",
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "r": method.rank,
        "target_modules": target_modules(adapted, modules),
        "projection_prng_key": method.projection_key,
        "save_projection": True,
        "vera_dropout": 0.0,
        "d_initial": method.initial,
        "bias": "none",
        "modules_to_save": None,
    }


def read_vera(
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
) -> tuple[VeRA, dict[str, np.ndarray]]:
    """The method and the leaves of a PEFT adapter.

    Args:
      values: what `adapter_config.json` says.
      tensors: the tensors by PEFT's names.
      pretrained: the base model.
      source: the adapter, for errors.

    Returns:
      The method, and by path `vera_d [L, R]`, `vera_b [L, out]`, `vera/a` and `vera/b`, float32.
      The method's key is -1 where the matrices are not those that are drawn here from PEFT's.

    Raises:
      InputError: the config asks for more, tensors are not known, missing, there twice, or of the
        wrong shape, or the random matrices are not there; it lists all.
    """
    found = _config_problems(values)
    if unreadable := count_problems(values, "r") + target_problems(values):
        raise unusable(source, pretrained, unreadable + found, _READABLE)
    rank, config = values["r"], pretrained.config
    kernels = flatten(pretrained.params)
    modules = [*linear_layers(config), *fused_layers(config)]
    vectors = {name: each for name, each in tensors.items() if name not in _MATRICES.values()}

    def shape_of(each: Adapted, part: str, name: str) -> list[int]:
        return [rank] if part == _PARTS["vera_d"] else [each.kernel_shape(kernels)[1]]

    adapted, more = find_adapted(vectors, pretrained, modules, read_targets(values))
    leaves, faulty = read_modules(vectors, pretrained, _PARTS, shape_of, modules, adapted)
    found += (
        more + faulty + _matrix_problems(tensors, rank, [x.kernel_shape(kernels) for x in adapted])
    )
    if found:
        raise unusable(source, pretrained, found, _READABLE)
    leaves = take_apart(leaves, config)
    columns = columns_of_parts([each.module for each in adapted], leaves)
    leaves |= {path: np.float32(tensors[name].T) for path, name in _MATRICES.items()}
    method = VeRA(
        rank,
        f"^({'|'.join(map(re.escape, sorted(path for x in adapted for path in x.paths)))})$",
        projection_key=_key(values),
        columns=format_columns(columns),
    )
    if method.projection_key >= 0:
        drawn = flatten(method.extend(pretrained.params, jax.random.key(0)))
        if any(not np.array_equal(drawn[path], leaves[path]) for path in _MATRICES):
            method = dataclasses.replace(method, projection_key=-1)
    return method, leaves


def _key(values: Mapping[str, Any]) -> int:
    """The key that the config names; -1 where none is named that could be one here."""
    key = values.get("projection_prng_key", 0)
    return key if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < 2**63 else -1


def _config_problems(values: Mapping[str, Any]) -> list[str]:
    found = kind_problems(values, "VERA")
    if not values.get("save_projection", True):
        found.append(
            f"save_projection is {values['save_projection']!r}: PEFT draws the random matrices "
            "again from projection_prng_key, by PyTorch's generator. Save the adapter from PEFT "
            "with save_projection=True"
        )
    return found + unsupported_fields(values, WITHOUT_EFFECT | _READ)


def _matrix_problems(
    tensors: Mapping[str, np.ndarray], rank: int, kernels: list[tuple[int, int]]
) -> list[str]:
    """What is wrong with the random matrices, which are as large as the widest layers."""
    found = []
    widest_in, widest_out = (max((k[axis] for k in kernels), default=0) for axis in (0, 1))
    expected = {"base_model.vera_A": [rank, widest_in], "base_model.vera_B": [widest_out, rank]}
    for name, shape in expected.items():
        if name not in tensors:
            found.append(
                f"missing: {name}, a random matrix that PEFT would draw by PyTorch's generator"
            )
        elif kernels and list(tensors[name].shape) != shape:
            found.append(f"wrong shape: {name} is {list(tensors[name].shape)}, expected {shape}")
    return found
