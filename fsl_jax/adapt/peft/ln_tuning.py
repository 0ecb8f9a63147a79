"""LN tuning in PEFT's format: a copy of each trained norm, and its config.

PEFT may adapt the norms of only some layers. The leaf is a stack for all layers, with the base
model's values in the other layers.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fsl_jax.adapt.methods.ln_tuning import LNTuning
from fsl_jax.adapt.peft.adapter_kind import AdapterKind, Leaves
from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.config_fields import VECTOR_FIELDS
from fsl_jax.adapt.peft.module_tensors import read_adapted, write_modules
from fsl_jax.adapt.peft.modules import AdaptedModule, PeftModule, copies_of, target_modules
from fsl_jax.adapt.peft.targets import ALL_LINEAR, target_problems
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.pretrained import Pretrained

_PARTS = {"scale": "ln_tuning_layers.weight", "bias": "ln_tuning_layers.bias"}
_LEAF = re.compile("(.*norm)/(scale|bias)")


def has_norms_for(paths: Iterable[str], config: Config) -> bool:
    """Return True if PEFT can store the leaves: all leaves of some norms, and no others.

    Args:
      paths: the paths of the trained leaves, such as `layers/attention/norm/scale`.
      config: the config of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    paths = set(paths)
    parents = {path.rpartition("/")[0] for path in paths}
    return paths == {path for path in _leaves(config) if path.rpartition("/")[0] in parents}


def _to_peft(
    leaves: Mapping[str, np.ndarray], method: LNTuning, pretrained: Pretrained
) -> tuple[Leaves, dict[str, Any]]:
    """Write `scale [L, D]` and `bias [L, D]` of norms."""
    norms = _norms(pretrained.config)
    adapted = [AdaptedModule.in_all(norm) for norm in norms if f"{norm.path}/scale" in leaves]
    return write_modules(leaves, adapted, _PARTS), {
        "target_modules": target_modules(adapted, norms),
        "modules_to_save": None,
    }


def _from_peft(reader: AdapterReader) -> tuple[LNTuning, Leaves]:
    """Read `scale [L, D]` and `bias [L, D]` of norms.

    Layers that are left out get the base model's values.
    """
    reader.require_none(_target_problems(reader.values))
    base = flatten(reader.pretrained.params)
    # A model that was loaded without its decoder lacks some.
    norms = [norm for norm in _norms(reader.pretrained.config) if f"{norm.path}/scale" in base]
    parts = {leaf: _PARTS[leaf] for leaf in _PARTS if f"{norms[0].path}/{leaf}" in base}

    def shape_of(module: AdaptedModule, part: str, name: str) -> list[int]:
        return [base[f"{module.path}/scale"].shape[-1]]

    leaves, adapted = read_adapted(reader, reader.tensors, parts, shape_of, norms)
    reader.finish()
    for module in adapted:
        for path in (f"{module.path}/{leaf}" for leaf in parts):
            leaves[path] = module.with_rest(leaves[path], np.asarray(base[path], np.float32))
    return LNTuning("|".join(re.escape(module.path) for module in adapted)), leaves


def _target_problems(values: Mapping[str, Any]) -> list[str]:
    named = values.get("target_modules")
    if isinstance(named, str) and named.lower() == ALL_LINEAR:
        return [f"target_modules is {named!r}, and no norm is a linear layer"]
    return target_problems(values)


def _leaves(config: Config) -> list[str]:
    """Return the paths of the leaves of all norms."""
    names = FAMILIES[config.family].tensor_map(config).rules
    return [entry.path for entry in names if _LEAF.fullmatch(entry.path)]


def _norms(config: Config) -> list[PeftModule]:
    return [
        PeftModule(
            entry.tensor.rpartition(".")[0],
            entry.path.removesuffix("/scale"),
            copies_of(entry, config),
        )
        for entry in FAMILIES[config.family].tensor_map(config).rules
        if entry.path.endswith("norm/scale")
    ]


LN_TUNING_KIND = AdapterKind(
    "LN_TUNING",
    LNTuning,
    has_norms_for,
    _to_peft,
    _from_peft,
    VECTOR_FIELDS,
    "What can be read is LN tuning of whole norms",
)
