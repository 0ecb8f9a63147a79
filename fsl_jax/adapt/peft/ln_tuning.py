"""LN tuning as PEFT keeps it: a copy of each norm that was trained, and its config."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.ln_tuning import LNTuning
from fsl_jax.adapt.peft.modules import PREFIX, Adapted, Module, target_modules, task_type, unusable
from fsl_jax.adapt.peft.slots import Slot, config_faults, read_slots
from fsl_jax.models.families import FAMILIES, Config, parameter_shapes
from fsl_jax.models.pretrained import Pretrained

_READABLE = (
    "What can be read is LN tuning of whole norms, each kind of them in all layers or in none"
)
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
    return paths == {path for path in _slots(config) if path.rpartition("/")[0] in parents}


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
    slots = _slots(pretrained.config)
    tensors = {
        f"{PREFIX}{name}.{slot.part}": np.ascontiguousarray(leaves[path][index])
        for path, slot in slots.items()
        if path in leaves
        for name, index in slot.each()
    }
    norms = {
        path: Module(slot.module, path, slot.copies)
        for path, slot in slots.items()
        if path.endswith("/scale")
    }
    chosen = [Adapted.in_all(norm) for path, norm in norms.items() if path in leaves]
    return tensors, {
        "peft_type": "LN_TUNING",
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "target_modules": target_modules(chosen, list(norms.values())),
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
      The method, and `scale` and `bias` of the norms by path.

    Raises:
      InputError: the config asks for more, or tensors are not known, missing, there twice, or of
        the wrong shape; it lists all.
    """
    table = FAMILIES[pretrained.config.family].names(pretrained.config)
    slots = _slots(pretrained.config)
    found = config_faults(values, "LN_TUNING")
    targets = None if values.get("exclude_modules") else values.get("target_modules")
    filled, more = read_slots(tensors, list(slots.values()), table, targets)
    if found + more:
        raise unusable(source, pretrained, found + more, _READABLE)
    leaves = {path: filled[slot] for path, slot in slots.items() if slot in filled}
    norms = dict.fromkeys(path.rpartition("/")[0] for path in leaves)
    return LNTuning("|".join(map(re.escape, norms))), leaves


def _slots(config: Config) -> dict[str, Slot]:
    """The slot of each leaf of a norm, by its path."""
    shapes = parameter_shapes(config)
    slots = {}
    for entry in FAMILIES[config.family].names(config).names:
        if _LEAF.fullmatch(entry.path):
            module, _, part = entry.tensor.rpartition(".")
            shape = shapes[entry.path]
            copies = shape[0] if "{layer}" in module else None
            part = f"ln_tuning_layers.{part}"
            slots[entry.path] = Slot(module, part, copies, (shape[-1:],))
    return slots
