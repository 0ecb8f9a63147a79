"""The layers that PEFT adapts, by the names of Hugging Face's models and by tree paths.

Here a leaf is one stack for all layers, `[L, ...]`; PEFT has a tensor for each layer.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.tensors.tensor_map import KEEP, TensorRule

PREFIX = "base_model.model."
"""PEFT puts this before a layer's name in Hugging Face's model."""

_PROMPT_PREFIX = "base_model."
"""The same for kinds of adapters that are prompts."""


def inner_name(tensor: str) -> str:
    """Return the name in Hugging Face's model of a tensor in an adapter's file."""
    if tensor.startswith(PREFIX):
        return tensor.removeprefix(PREFIX)
    return tensor.removeprefix(_PROMPT_PREFIX)


@dataclasses.dataclass(frozen=True)
class PeftModule:
    """A linear layer or norm of Hugging Face's model, or its copies in the layers of a stack.

    Attributes:
      name: the name in Hugging Face's model, with `{layer}` for the number of the layer.
      path: the path in the tree.
      copies: the number of copies; None if the module is not stacked.
      parts: the paths of its parts, if the tree splits it into several.
    """

    name: str
    path: str
    copies: int | None
    parts: tuple[str, ...] = ()

    def named_copies(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the name of each copy, and its index in the stacked leaf."""
        if self.copies is None:
            yield self.name, ()
        else:
            yield from ((self.name.format(layer=i), (i,)) for i in range(self.copies))

    @property
    def paths(self) -> tuple[str, ...]:
        """The path in the tree, or the paths of the parts."""
        return self.parts or (self.path,)


@dataclasses.dataclass(frozen=True)
class AdaptedModule:
    """A module, and the copies of it that an adapter adapts.

    Attributes:
      module: the module.
      names: the name of each copy in the adapted model; None for a copy that is left out.
    """

    module: PeftModule
    names: tuple[str | None, ...]

    @classmethod
    def in_all(cls, module: PeftModule) -> "AdaptedModule":
        """Return a module with all its copies adapted."""
        return cls(module, tuple(name for name, _ in module.named_copies()))

    @property
    def name(self) -> str:
        """The name in Hugging Face's model, with `{layer}` for the number of the layer."""
        return self.module.name

    @property
    def path(self) -> str:
        """The path in the tree."""
        return self.module.path

    @property
    def paths(self) -> tuple[str, ...]:
        """The path in the tree, or the paths of the parts."""
        return self.module.paths

    @property
    def copies(self) -> int | None:
        """The number of copies, adapted or not; None if the module is not stacked."""
        return self.module.copies

    def kernel_shape(self, leaves: Mapping[str, Any]) -> tuple[int, int]:
        """Return `[in, out]` of the kernel, from the leaves of the base model by path."""
        width_in, width_out = leaves[f"{self.paths[0]}/kernel"].shape[-2:]
        return width_in, width_out * len(self.paths)

    @property
    def is_whole(self) -> bool:
        """True if no copy is left out."""
        return None not in self.names

    def named_copies(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the name of each adapted copy, and its index in the stacked leaf."""
        for name, (_, index) in zip(self.names, self.module.named_copies(), strict=True):
            if name is not None:
                yield name, index

    def with_rest(self, leaf: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Return a leaf `[L, ...]` with the values of `rest` in the copies that are left out."""
        if self.is_whole:
            return leaf
        left_out = np.array([name is None for name in self.names])
        return np.where(left_out.reshape(-1, *[1] * (leaf.ndim - 1)), rest, leaf)


def linear_layers(config: Config) -> list[PeftModule]:
    """Return the linear layers that can be adapted: no output embeddings or parts of layers."""
    return [
        PeftModule(
            entry.tensor.removesuffix(".weight"),
            entry.path.removesuffix("/kernel"),
            copies_of(entry, config),
        )
        for entry in FAMILIES[config.family].tensor_map(config).rules
        if entry.path.endswith("/kernel")
        and entry.path != "unembedding/kernel"
        and entry.part == (0, 1)
    ]


def fan_in_fan_out(config: Config) -> bool:
    """Return True if Hugging Face stores kernels as `[in, out]`, as this code does.

    PEFT has this field in its configs, for weights that are not transposed.
    """
    rules = FAMILIES[config.family].tensor_map(config).rules
    return any(rule.path.endswith("/kernel") and rule.transform == KEEP for rule in rules)


def copies_of(entry: TensorRule, config: Config) -> int | None:
    """Return the number of layers in the stack of a leaf; None if it is not stacked."""
    if "{layer}" not in entry.tensor:
        return None
    return config.layers_of(entry.path)


def target_modules(adapted: Sequence[AdaptedModule], modules: Sequence[PeftModule]) -> list[str]:
    """Return the shortest ends of names that PEFT matches only with the adapted layers.

    Args:
      adapted: the linear layers that are adapted.
      modules: all linear layers.

    Returns:
      The ends; whole names if layers of a stack are left out.
    """
    chosen = {name for module in adapted for name, _ in module.named_copies()}
    others = [name for module in modules for name, _ in module.named_copies() if name not in chosen]
    also_there = (name for family in FAMILIES.values() for name in family.other_linear_layers)
    others += [name for name in also_there if name not in chosen]

    def ends(module: AdaptedModule) -> list[str]:
        parts = module.name.rpartition("{layer}.")[2].split(".")
        for start in reversed(range(len(parts))):
            end = ".".join(parts[start:])
            if not any(f".{other}".endswith(f".{end}") for other in others):
                return [end]
        # If even the whole name is an end of another name, every layer must be listed.
        return [name for name, _ in module.named_copies()]

    return sorted({end for module in adapted for end in ends(module)})
