"""LN tuning as PEFT keeps it: a copy of each norm that was trained, and its config.

Of a stack PEFT may have some norms only. The others keep the base model's numbers, and the leaf has
these for them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.methods.ln_tuning import LNTuning
from fsl_jax.adapt.peft.modules import (
    Adapted,
    Module,
    copies_of,
    read_modules,
    target_modules,
    task_type,
    unusable,
    write_modules,
)
from fsl_jax.adapt.peft.targets import (
    ALL_LINEAR,
    find_adapted,
    read_targets,
    target_problems,
)
from fsl_jax.adapt.peft.vector_config import config_problems
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.pretrained import Pretrained

_READABLE = "What can be read is LN tuning of whole norms"
_PARTS = {"scale": "ln_tuning_layers.weight", "bias": "ln_tuning_layers.bias"}
_LEAF = re.compile("(.*norm)/(scale|bias)")


def has_norms_for(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT can hold leaves: they are those of norms, and all of a norm's are among them.

    Args:
      paths: of the trained leaves: `layers/attention/norm/scale`.
      config: of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    paths = set(paths)
    parents = {path.rpartition("/")[0] for path in paths}
    return paths == {path for path in _leaves(config) if path.rpartition("/")[0] in parents}


def write_ln_tuning(
    leaves: Mapping[str, np.ndarray], method: LNTuning, pretrained: Pretrained
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors and the config of a PEFT adapter.

    Args:
      leaves: `scale [L, D]` and `bias [L, D]` of norms by path.
      method: the method.
      pretrained: the base model.

    Returns:
      The tensors by PEFT's names, and the values of `adapter_config.json`.
    """
    norms = _norms(pretrained.config)
    adapted = [Adapted.in_all(norm) for norm in norms if f"{norm.path}/scale" in leaves]
    return write_modules(leaves, adapted, _PARTS), {
        "peft_type": "LN_TUNING",
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "target_modules": target_modules(adapted, norms),
        "modules_to_save": None,
    }


def read_ln_tuning(
    values: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    source: epath.PathLike,
) -> tuple[LNTuning, dict[str, np.ndarray]]:
    """The method and the leaves of a PEFT adapter.

    Args:
      values: what `adapter_config.json` says.
      tensors: the tensors by PEFT's names.
      pretrained: the base model.
      source: the adapter, for errors.

    Returns:
      The method, and `scale [L, D]` and `bias [L, D]` of the norms by path, float32, with the base
      model's numbers in the layers that are left out.

    Raises:
      InputError: the config asks for more, names what is not there, or tensors are not known,
        missing, there twice, or of the wrong shape; it lists all.
    """
    found = config_problems(values, "LN_TUNING")
    if unreadable := _target_problems(values):
        raise unusable(source, pretrained, unreadable + found, _READABLE)
    base, norms = flatten(pretrained.params), _norms(pretrained.config)
    parts = {leaf: _PARTS[leaf] for leaf in _PARTS if f"{norms[0].path}/{leaf}" in base}

    def shape_of(each: Adapted, part: str, name: str) -> list[int]:
        return [base[f"{each.module.path}/scale"].shape[-1]]

    adapted, more = find_adapted(tensors, pretrained, norms, read_targets(values))
    leaves, faulty = read_modules(tensors, pretrained, parts, shape_of, norms, adapted)
    if found := found + more + faulty:
        raise unusable(source, pretrained, found, _READABLE)
    for each in adapted:
        for path in (f"{each.module.path}/{leaf}" for leaf in parts):
            leaves[path] = each.with_rest(leaves[path], np.asarray(base[path], np.float32))
    return LNTuning("|".join(re.escape(each.module.path) for each in adapted)), leaves


def _target_problems(values: Mapping[str, Any]) -> list[str]:
    named = values.get("target_modules")
    if isinstance(named, str) and named.lower() == ALL_LINEAR:
        return [f"target_modules is {named!r}, and no norm is a linear layer"]
    return target_problems(values)


def _leaves(config: Config) -> list[str]:
    """The paths of the leaves of all norms."""
    names = FAMILIES[config.family].tensor_map(config).rules
    return [entry.path for entry in names if _LEAF.fullmatch(entry.path)]


def _norms(config: Config) -> list[Module]:
    return [
        Module(
            entry.tensor.rpartition(".")[0],
            entry.path.removesuffix("/scale"),
            copies_of(entry, config),
        )
        for entry in FAMILIES[config.family].tensor_map(config).rules
        if entry.path.endswith("norm/scale")
    ]
