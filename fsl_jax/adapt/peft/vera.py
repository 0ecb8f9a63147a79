"""VeRA as PEFT keeps it: two vectors for each linear layer, and the two random matrices.

PEFT can leave the matrices out and draw them again. It does so with PyTorch's generator, so that an
adapter without them cannot be read here. VeRA on parts of a layer of PEFT's, as GPT-2's queries
are, goes neither way: they would share a vector there, and have different rows of a matrix.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath

from fsl_jax.adapt.peft.fused import fused_layers
from fsl_jax.adapt.peft.lora_config import is_count, unsupported_fields
from fsl_jax.adapt.peft.modules import (
    Adapted,
    adapted_paths,
    has_layers_for,
    linear_layers,
    read_modules,
    saved_modules,
    target_modules,
    task_type,
    unusable,
    write_modules,
)
from fsl_jax.adapt.peft.targets import find_adapted, read_targets, target_faults
from fsl_jax.adapt.tree import flatten
from fsl_jax.adapt.vera import VeRA
from fsl_jax.models.families import Config
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
    """Whether PEFT has a linear layer for each that is adapted.

    Args:
      paths: of the saved leaves.
      config: of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    return has_layers_for((path for path in paths if path not in _MATRICES), config)


def write_vera(
    leaves: Mapping[str, np.ndarray], method: VeRA, pretrained: Pretrained
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the config of a PEFT adapter.

    Args:
      leaves: `vera_d [L, R]` and `vera_b [L, out]` by path, and `vera/a` and `vera/b`.
      method: the method.
      pretrained: the base model.

    Returns:
      The tensors by PEFT's names, and the values of `adapter_config.json`.
    """
    modules = linear_layers(pretrained.config)
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
    if found := _config_faults(values):
        raise unusable(source, pretrained, found, _READABLE)
    rank, modules = values["r"], linear_layers(pretrained.config)
    fused = fused_layers(pretrained.config)
    vectors = {name: each for name, each in tensors.items() if name not in _MATRICES.values()}

    def shape_of(kernel: tuple[int, ...], part: str, name: str) -> list[int]:
        return [rank] if part == _PARTS["vera_d"] else [kernel[1]]

    targets = read_targets(values)
    adapted, found = find_adapted(vectors, pretrained, [*modules, *fused], targets)
    if joined := [each for each in adapted if each.module.parts]:
        raise unusable(source, pretrained, [*found, *map(_refusal, joined)], _READABLE)
    leaves, more = read_modules(vectors, pretrained, _PARTS, shape_of, modules, adapted)
    paths, found = adapted_paths(leaves), found + more
    kernels = flatten(pretrained.params)
    found += _matrix_faults(tensors, rank, [kernels[f"{path}/kernel"].shape for path in paths])
    if found:
        raise unusable(source, pretrained, found, _READABLE)
    leaves |= {path: np.float32(tensors[name].T) for path, name in _MATRICES.items()}
    pattern = f"^({'|'.join(map(re.escape, paths))})$"
    method = VeRA(rank, pattern, projection_key=int(values.get("projection_prng_key") or 0))
    drawn = flatten(method.extend(pretrained.params, jax.random.key(0)))
    if any(not np.array_equal(drawn[path], leaves[path]) for path in _MATRICES):
        method = VeRA(rank, pattern, projection_key=-1)
    return method, leaves


def _config_faults(values: Mapping[str, Any]) -> list[str]:
    found = []
    if values.get("peft_type") != "VERA":
        found.append(f"peft_type is {values.get('peft_type')!r}; expected 'VERA'")
    if not is_count(values.get("r")):
        found.append(f"r is {values.get('r')!r}; expected a whole number of at least 1")
    if not values.get("save_projection", True):
        found.append(
            "save_projection is False: PEFT draws the random matrices again from "
            "projection_prng_key, by PyTorch's generator. Save the adapter from PEFT with "
            "save_projection=True"
        )
    return found + target_faults(values) + unsupported_fields(values, _READ)


def _refusal(adapted: Adapted) -> str:
    name = adapted.module.name
    return (
        f"vera on {name}: PEFT gives its {len(adapted.paths)} parts one vera_lambda_d and rows of "
        "vera_B that follow each other, and here each is a layer with a vector of its own and the "
        "first rows. Train VeRA on other layers, or LoRA on this one"
    )


def _matrix_faults(
    tensors: Mapping[str, np.ndarray], rank: int, kernels: list[tuple[int, ...]]
) -> list[str]:
    """What is wrong with the random matrices, which are as large as the widest layers."""
    found = []
    widest_in, widest_out = (max((k[axis] for k in kernels), default=0) for axis in (-2, -1))
    expected = {"base_model.vera_A": [rank, widest_in], "base_model.vera_B": [widest_out, rank]}
    for name, shape in expected.items():
        if name not in tensors:
            found.append(
                f"missing: {name}, a random matrix that PEFT would draw by PyTorch's generator"
            )
        elif kernels and list(tensors[name].shape) != shape:
            found.append(f"wrong shape: {name} is {list(tensors[name].shape)}, expected {shape}")
    return found
