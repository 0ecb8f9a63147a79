"""LoRA as PEFT keeps it: the names and the layout of its tensors, and its config.

An adapter that is written so is read by PEFT, and by servers that take PEFT's directories. A leaf
is one stack for all layers here, `lora_a [L, in, R]`; PEFT has a tensor for each layer, transposed
as PyTorch's weights are: `lora_A.weight [R, in]`.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.lora import LoRA
from fsl_jax.adapt.peft_config import PeftLora, config_faults, read_config
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError, faults
from fsl_jax.models.families import FAMILIES, Config
from fsl_jax.models.names import NameTable
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.t5_layers import T5Config

PREFIX = "base_model.model."
"""What PEFT puts before the names that a tensor's layer has in Hugging Face's model."""

_PARTS = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight"}
_ALSO_THERE = ("pooler.dense", "lm_head")
"""Linear layers of Hugging Face's models that the tree may lack."""


@dataclasses.dataclass(frozen=True)
class _Module:
    """A linear layer, or one for each layer of a stack.

    Attributes:
      name: in Hugging Face's model, `{layer}` standing for the number of the layer.
      path: in the tree.
      copies: how many there are; None where it is not stacked.
    """

    name: str
    path: str
    copies: int | None

    def each(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The name of each copy, and its index in the stacked leaf."""
        if self.copies is None:
            yield self.name, ()
        else:
            yield from ((self.name.format(layer=i), (i,)) for i in range(self.copies))


def has_layers_for(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT has a linear layer for each that is adapted.

    It has one for queries, keys and values together where a checkpoint has them in one tensor, as
    GPT-2's do, and no adapter for a part of it.

    Args:
      paths: of the adapted leaves: `layers/attention/query/lora_a`.
      config: of the base model.

    Returns:
      True where `to_peft` can write the adapter.
    """
    known = {module.path for module in _modules(config)}
    return all(path.rpartition("/")[0] in known for path in paths)


def to_peft(
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
    modules = _modules(pretrained.config)
    chosen = [module for module in modules if f"{module.path}/lora_a" in leaves]
    tensors = {
        f"{PREFIX}{name}.{part}": np.ascontiguousarray(leaves[f"{module.path}/{leaf}"][index].T)
        for module in chosen
        for name, index in module.each()
        for leaf, part in _PARTS.items()
    }
    return tensors, {
        "peft_type": "LORA",
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
        "inference_mode": True,
        "r": method.rank,
        "lora_alpha": int(method.alpha) if method.alpha.is_integer() else method.alpha,
        "lora_dropout": 0.0,
        "target_modules": _target_modules(chosen, modules),
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
    }


def from_peft(
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
        raise _unusable(source, pretrained, found)
    lora = read_config(values)
    table = FAMILIES[pretrained.config.family].names(pretrained.config)
    modules = _modules(pretrained.config)
    given, found = _by_canonical_name(tensors, table, modules)
    targeted = [module for module in modules if _is_targeted(module, given, lora, table)]
    shapes = {path: leaf.shape for path, leaf in flatten(pretrained.params).items()}
    for module in targeted:
        found += _tensor_faults(module, given, table, lora.rank, shapes[f"{module.path}/kernel"])
    if not targeted:
        found.append("no linear layer has tensors")
    if found:
        raise _unusable(source, pretrained, found)
    leaves: dict[str, np.ndarray] = {}
    for module in targeted:
        leaves |= _stacked(module, given, table, lora.scale)
    paths = "|".join(re.escape(module.path) for module in targeted)
    return LoRA(lora.rank, float(lora.scale * lora.rank), f"^({paths})$"), leaves


def _unusable(source: epath.PathLike, pretrained: Pretrained, found: list[str]) -> InputError:
    return faults(
        f"{source}: this adapter cannot be used with {pretrained.name}. What can be read is LoRA "
        "of one rank on linear layers, each kind of them in all layers or in none:",
        found,
    )


def task_type(config: Config) -> str:
    """What PEFT calls the use of a model of this family."""
    if config.is_encoder_decoder:
        return "SEQ_2_SEQ_LM"
    return "CAUSAL_LM" if config.is_decoder else "FEATURE_EXTRACTION"


def _modules(config: Config) -> list[_Module]:
    """The linear layers with a hook for LoRA: all but the output embedding, and parts of one."""
    return [
        _Module(
            entry.tensor.removesuffix(".weight"),
            entry.path.removesuffix("/kernel"),
            _depth(entry.path, config) if "{layer}" in entry.tensor else None,
        )
        for entry in FAMILIES[config.family].names(config).names
        if entry.path.endswith("/kernel")
        and entry.path != "unembedding/kernel"
        and entry.part == (0, 1)
    ]


def _depth(path: str, config: Config) -> int:
    """How many layers the stack has that a leaf is of."""
    if isinstance(config, T5Config) and path.startswith("decoder/"):
        return config.num_decoder_layers
    return config.num_layers


def _target_modules(chosen: list[_Module], modules: list[_Module]) -> list[str]:
    """The shortest ends of names that PEFT matches with the chosen modules and with no others."""
    others = [name for module in modules if module not in chosen for name, _ in module.each()]
    chosen_names = {name for module in chosen for name, _ in module.each()}
    others += [name for name in _ALSO_THERE if name not in chosen_names]

    def ends(module: _Module) -> list[str]:
        parts = module.name.rpartition("{layer}.")[2].split(".")
        for start in reversed(range(len(parts))):
            end = ".".join(parts[start:])
            if not any(_ends_in(other, end) for other in others):
                return [end]
        # Where even the whole name ends like another one, every layer has to be spelt out.
        return [name for name, _ in module.each()]

    return sorted({end for module in chosen for end in ends(module)})


def _ends_in(name: str, end: str) -> bool:
    return f".{name}".endswith(f".{end}")


def _by_canonical_name(
    tensors: Mapping[str, np.ndarray], table: NameTable, modules: list[_Module]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Tensors by names without prefixes, and what is wrong with the names."""
    known = {
        f"{table.canonical(name)}.{part}"
        for module in modules
        for name, _ in module.each()
        for part in _PARTS.values()
    }
    given: dict[str, np.ndarray] = {}
    found = []
    for full, tensor in tensors.items():
        name = table.canonical(full.removeprefix(PREFIX))
        if name not in known:
            found.append(f"not known: {full}")
        elif name in given:
            found.append(f"duplicate: {full} is there under another name too")
        given[name] = tensor
    return given, found


def _is_targeted(
    module: _Module, given: Mapping[str, np.ndarray], lora: PeftLora, table: NameTable
) -> bool:
    """Whether any copy of a layer has a tensor, or is named by the targets."""
    names = [table.canonical(name) for name, _ in module.each()]
    if any(f"{name}.{part}" in given for name in names for part in _PARTS.values()):
        return True
    return any(_ends_in(table.prefix + name, end) for name in names for end in lora.targets or ())


def _tensor_faults(
    module: _Module,
    given: Mapping[str, np.ndarray],
    table: NameTable,
    rank: int,
    kernel: tuple[int, ...],
) -> list[str]:
    shapes = {"lora_A.weight": [rank, kernel[-2]], "lora_B.weight": [kernel[-1], rank]}
    found = []
    for name, _ in module.each():
        for part, expected in shapes.items():
            tensor = given.get(f"{table.canonical(name)}.{part}")
            if tensor is None:
                found.append(f"missing: {PREFIX}{name}.{part}")
            elif list(tensor.shape) != expected:
                shape = list(tensor.shape)
                found.append(f"wrong shape: {PREFIX}{name}.{part} is {shape}, expected {expected}")
    return found


def _stacked(
    module: _Module, given: Mapping[str, np.ndarray], table: NameTable, scale: float
) -> dict[str, np.ndarray]:
    leaves = {}
    for leaf, part in _PARTS.items():
        each = [given[f"{table.canonical(name)}.{part}"].T for name, _ in module.each()]
        leaves[f"{module.path}/{leaf}"] = np.stack(each) if module.copies else each[0]
    stack = () if module.copies is None else (module.copies,)
    return leaves | {f"{module.path}/lora_scale": np.full(stack, scale, np.float32)}
