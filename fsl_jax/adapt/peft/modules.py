"""The layers that PEFT adapts, by the names of Hugging Face's models and by tree paths.

A leaf is one stack for all layers here, `[L, ...]`; PEFT has a tensor for each layer.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.families.t5.layers import T5Config
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_map import TensorMap, TensorRule

PREFIX = "base_model.model."
"""What PEFT puts before the names that a tensor's layer has in Hugging Face's model."""

_ALSO_THERE = ("pooler.dense", "lm_head")
"""Linear layers of Hugging Face's models that the tree may lack."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A linear layer or a norm, or one for each layer of a stack.

    Attributes:
      name: in Hugging Face's model, `{layer}` standing for the number of the layer.
      path: in the tree.
      copies: how many there are; None where it is not stacked.
      parts: the paths of its parts, where the tree has it in several side by side.
    """

    name: str
    path: str
    copies: int | None
    parts: tuple[str, ...] = ()

    def each(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The name of each copy, and its index in the stacked leaf."""
        if self.copies is None:
            yield self.name, ()
        else:
            yield from ((self.name.format(layer=i), (i,)) for i in range(self.copies))

    @property
    def paths(self) -> tuple[str, ...]:
        """In the tree: its own, or those of its parts."""
        return self.parts or (self.path,)


@dataclasses.dataclass(frozen=True)
class Adapted:
    """A layer, and which of its copies an adapter is of.

    Attributes:
      module: the layer.
      names: of each copy in the adapted model; None for one that is left out.
    """

    module: Module
    names: tuple[str | None, ...]

    @classmethod
    def in_all(cls, module: Module) -> "Adapted":
        """A layer that is adapted in all its copies."""
        return cls(module, tuple(name for name, _ in module.each()))

    @property
    def paths(self) -> tuple[str, ...]:
        """In the tree: the module's, or those of its parts."""
        return self.module.paths

    def kernel_shape(self, leaves: Mapping[str, Any]) -> tuple[int, int]:
        """`[in, out]` of its kernel, from the leaves of the base model by path."""
        width_in, width_out = leaves[f"{self.paths[0]}/kernel"].shape[-2:]
        return width_in, width_out * len(self.paths)

    @property
    def is_whole(self) -> bool:
        """Whether no copy is left out."""
        return None not in self.names

    def each(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The name of each adapted copy, and its index in the stacked leaf."""
        for name, (_, index) in zip(self.names, self.module.each(), strict=True):
            if name is not None:
                yield name, index

    def with_rest(self, leaf: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """A leaf `[L, ...]` that has another one's numbers in the copies that are left out."""
        if self.is_whole:
            return leaf
        left_out = np.array([name is None for name in self.names])
        return np.where(left_out.reshape(-1, *[1] * (leaf.ndim - 1)), rest, leaf)


def task_type(config: Config) -> str:
    """What PEFT calls the use of a model of this family."""
    if config.is_encoder_decoder:
        return "SEQ_2_SEQ_LM"
    return "CAUSAL_LM" if config.is_decoder else "FEATURE_EXTRACTION"


def linear_layers(config: Config) -> list[Module]:
    """The linear layers with a hook for LoRA: all but the output embedding, and parts of one."""
    return [
        Module(
            entry.tensor.removesuffix(".weight"),
            entry.path.removesuffix("/kernel"),
            copies_of(entry, config),
        )
        for entry in FAMILIES[config.family].tensor_map(config).rules
        if entry.path.endswith("/kernel")
        and entry.path != "unembedding/kernel"
        and entry.part == (0, 1)
    ]


def copies_of(entry: TensorRule, config: Config) -> int | None:
    """How many layers the stack has that a leaf is of; None where it is of none."""
    if "{layer}" not in entry.tensor:
        return None
    if isinstance(config, T5Config) and entry.path.startswith("decoder/"):
        return config.num_decoder_layers
    return config.num_layers


def target_modules(adapted: Sequence[Adapted], modules: Sequence[Module]) -> list[str]:
    """The shortest ends of names that PEFT matches with what is adapted and with nothing else.

    Args:
      adapted: the linear layers that are adapted.
      modules: all that there are.

    Returns:
      The ends; whole names where layers of a stack are left out.
    """
    chosen = {name for each in adapted for name, _ in each.each()}
    others = [name for module in modules for name, _ in module.each() if name not in chosen]
    others += [name for name in _ALSO_THERE if name not in chosen]

    def ends(each: Adapted) -> list[str]:
        parts = each.module.name.rpartition("{layer}.")[2].split(".")
        for start in reversed(range(len(parts))):
            end = ".".join(parts[start:])
            if not any(f".{other}".endswith(f".{end}") for other in others):
                return [end]
        # Where even the whole name ends like another one, every layer has to be spelt out.
        return [name for name, _ in each.each()]

    return sorted({end for each in adapted for end in ends(each)})


def saved_modules(
    leaves: Mapping[str, np.ndarray], modules: Sequence[Module], parts: Iterable[str]
) -> list[Adapted]:
    """The linear layers that leaves are of.

    Args:
      leaves: by path: `layers/attention/query/lora_a`.
      modules: the linear layers there are.
      parts: the names of leaves: `lora_a`.

    Returns:
      Those that have leaves. A copy whose numbers are all zero is left out, as it does nothing and
      learns nothing, unless all are.
    """
    found = []
    for module in modules:
        own = [leaves[path] for part in parts if (path := f"{module.path}/{part}") in leaves]
        if own:
            names = [name for name, _ in module.each()]
            used = [any(leaf[index].any() for leaf in own) for _, index in module.each()]
            pairs = zip(names, used, strict=True)
            kept = tuple(name if it or not any(used) else None for name, it in pairs)
            found.append(Adapted(module, kept))
    return found


def write_modules(
    leaves: Mapping[str, np.ndarray], adapted: Sequence[Adapted], parts: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """The tensors of the linear layers that are adapted, transposed as PyTorch's are.

    Args:
      leaves: by path: `layers/attention/query/lora_a`.
      adapted: the linear layers.
      parts: PEFT's word for each leaf: `lora_A.weight` for `lora_a`.

    Returns:
      The tensors by PEFT's names, one for each layer of a stack.
    """
    return {
        f"{PREFIX}{name}.{part}": np.ascontiguousarray(leaves[path][index].T)
        for each in adapted
        for leaf, part in parts.items()
        if (path := f"{each.module.path}/{leaf}") in leaves
        for name, index in each.each()
    }


def read_modules(
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    parts: Mapping[str, str],
    shape_of: Callable[[Adapted, str, str], Sequence[int]],
    modules: Sequence[Module],
    adapted: Sequence[Adapted],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The inverse of `write_modules`, strict: every tensor is known and each has its shape.

    Args:
      tensors: by PEFT's names.
      pretrained: the base model.
      parts: PEFT's word for each leaf.
      shape_of: the shape of a part, of the copy of a layer that has a name.
      modules: the layers there are.
      adapted: those that the adapter is of.

    Returns:
      The leaves by path, those of a stack joined, and all that is wrong. Zeros stand for the copies
      that are left out, and fill up what is smaller than the largest of its stack.
    """
    table = FAMILIES[pretrained.config.family].tensor_map(pretrained.config)
    given, found = _by_canonical_name(tensors, table, modules, parts, adapted)
    stacks: dict[str, np.ndarray] = {}
    for each in adapted:
        faulty = _tensor_problems(each, given, table, parts, shape_of)
        found += faulty
        if not faulty:
            stacks |= _stacked(each, given, table, parts)
    return stacks, found


def filled_up(leaf: np.ndarray, axis: int, size: int) -> np.ndarray:
    """A leaf with zeros behind, so that an axis has a size."""
    widths = [(0, 0)] * leaf.ndim
    widths[axis] = (0, size - leaf.shape[axis])
    return np.pad(leaf, widths)


def adapted_paths(leaves: Iterable[str]) -> list[str]:
    """The paths of the layers that leaves are of: `layers/attention/query`, each once."""
    return sorted({path.rpartition("/")[0] for path in leaves})


def unusable(
    source: epath.PathLike, pretrained: Pretrained, found: list[str], readable: str
) -> InputError:
    """The error for an adapter that cannot be read.

    Args:
      source: the adapter.
      pretrained: the base model.
      found: what is wrong with it.
      readable: what can be read, as a sentence.

    Returns:
      The error.
    """
    return problems_error(
        f"{source}: this adapter cannot be used with {pretrained.name}. {readable}:", found
    )


def _by_canonical_name(
    tensors: Mapping[str, np.ndarray],
    table: TensorMap,
    modules: Sequence[Module],
    parts: Mapping[str, str],
    adapted: Sequence[Adapted],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Tensors by names without prefixes, and what is wrong with the names."""
    there = {table.canonical(name) for module in modules for name, _ in module.each()}
    chosen = {table.canonical(name) for each in adapted for name, _ in each.each()}
    given: dict[str, np.ndarray] = {}
    found = []
    for full, tensor in tensors.items():
        name = table.canonical(full.removeprefix(PREFIX))
        part = next((part for part in parts.values() if name.endswith(f".{part}")), None)
        layer = name.removesuffix(f".{part}")
        if part is None or layer not in there:
            found.append(f"not known: {full}")
        elif layer not in chosen:
            found.append(f"not known: {full}, of a layer that is left out")
        elif name in given:
            found.append(f"duplicate: {full} is there under another name too")
        given[name] = tensor
    return given, found


def _tensor_problems(
    adapted: Adapted,
    given: Mapping[str, np.ndarray],
    table: TensorMap,
    parts: Mapping[str, str],
    shape_of: Callable[[Adapted, str, str], Sequence[int]],
) -> list[str]:
    found = []
    for name, _ in adapted.each():
        for part in parts.values():
            tensor = given.get(f"{table.canonical(name)}.{part}")
            expected = shape_of(adapted, part, name)
            if tensor is None:
                found.append(f"missing: {PREFIX}{name}.{part}")
            elif list(tensor.shape) != list(expected):
                shape = f"{list(tensor.shape)}, expected {list(expected)}"
                found.append(f"wrong shape: {PREFIX}{name}.{part} is {shape}")
    return found


def _stacked(
    adapted: Adapted,
    given: Mapping[str, np.ndarray],
    table: TensorMap,
    parts: Mapping[str, str],
) -> dict[str, np.ndarray]:
    leaves = {}
    for leaf, part in parts.items():
        own = {index: given[f"{table.canonical(name)}.{part}"].T for name, index in adapted.each()}
        depth = () if adapted.module.copies is None else (adapted.module.copies,)
        widest = np.max([tensor.shape for tensor in own.values()], axis=0)
        stack = np.zeros((*depth, *widest), next(iter(own.values())).dtype)
        for index, tensor in own.items():
            place: tuple[int | slice, ...] = (*index, *map(slice, tensor.shape))
            stack[place] = tensor
        leaves[f"{adapted.module.path}/{leaf}"] = stack
    return leaves
