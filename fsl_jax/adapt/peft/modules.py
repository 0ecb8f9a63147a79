"""The linear layers that PEFT adapts, by the names of Hugging Face's models and by tree paths.

A leaf is one stack for all layers here, `[L, ...]`; PEFT has a tensor for each layer.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
from etils import epath

from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError, faults
from fsl_jax.models.families import FAMILIES, Config
from fsl_jax.models.names import NameTable
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.t5_layers import T5Config

PREFIX = "base_model.model."
"""What PEFT puts before the names that a tensor's layer has in Hugging Face's model."""

_ALSO_THERE = ("pooler.dense", "lm_head")
"""Linear layers of Hugging Face's models that the tree may lack."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A linear layer, or one for each layer of a stack.

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


def has_layers_for(paths: Iterable[str], config: Config) -> bool:
    """Whether PEFT has a linear layer for each that is adapted.

    It has one for queries, keys and values together where a checkpoint has them in one tensor, as
    GPT-2's do, and no adapter for a part of it.

    Args:
      paths: of the adapted leaves: `layers/attention/query/lora_a`.
      config: of the base model.

    Returns:
      True where the adapter can be written for PEFT.
    """
    known = {module.path for module in linear_layers(config)}
    return all(path.rpartition("/")[0] in known for path in paths)


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


def target_modules(chosen: list[Module], modules: list[Module]) -> list[str]:
    """The shortest ends of names that PEFT matches with the chosen modules and with no others."""
    others = [name for module in modules if module not in chosen for name, _ in module.each()]
    chosen_names = {name for module in chosen for name, _ in module.each()}
    others += [name for name in _ALSO_THERE if name not in chosen_names]

    def ends(module: Module) -> list[str]:
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


def write_modules(
    leaves: Mapping[str, np.ndarray], modules: Sequence[Module], parts: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """The tensors of the linear layers that are adapted, transposed as PyTorch's are.

    Args:
      leaves: by path: `layers/attention/query/lora_a`.
      modules: the linear layers.
      parts: PEFT's word for each leaf: `lora_A.weight` for `lora_a`.

    Returns:
      The tensors by PEFT's names, one for each layer of a stack.
    """
    return {
        f"{PREFIX}{name}.{part}": np.ascontiguousarray(leaves[f"{module.path}/{leaf}"][index].T)
        for module in modules
        for leaf, part in parts.items()
        if f"{module.path}/{leaf}" in leaves
        for name, index in module.each()
    }


def read_modules(
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    parts: Mapping[str, str],
    shape_of: Callable[[str, tuple[int, ...]], Sequence[int]],
    targets: Sequence[str] | None,
    only: Collection[int] | None = None,
    fused: Sequence[Module] = (),
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The inverse of `write_modules`, strict: every tensor is known and each has its shape.

    Args:
      tensors: by PEFT's names.
      pretrained: the base model.
      parts: PEFT's word for each leaf.
      shape_of: the shape that a part has beside a kernel `[in, out]`.
      targets: ends of the names of the adapted linear layers; None where they are given otherwise.
      only: the layers of a stack that are adapted, zeros standing for the others; None for all.
      fused: linear layers that the tree has in parts, and that can be read whole.

    Returns:
      The leaves by path, those of a stack joined, and all that is wrong.
    """
    config = pretrained.config
    table, modules = FAMILIES[config.family].names(config), [*linear_layers(config), *fused]
    # A layer that is not in a stack has no number to be chosen by.
    modules = [module for module in modules if only is None or module.copies is not None]
    given, found = _by_canonical_name(tensors, table, modules, parts)
    targeted = [each for each in modules if _is_targeted(each, given, parts, targets, table)]
    if not targeted:
        return {}, [*found, "no linear layer has tensors"]
    kernels = flatten(pretrained.params)
    stacks: dict[str, np.ndarray] = {}
    for module in targeted:
        kernel = kernels[f"{(module.parts or (module.path,))[0]}/kernel"].shape[-2:]
        kernel = (kernel[0], kernel[1] * max(len(module.parts), 1))
        shapes = {part: list(shape_of(part, kernel)) for part in parts.values()}
        faulty = _tensor_faults(module, given, table, shapes, only)
        found += faulty
        if not faulty:
            stacks |= _stacked(module, given, table, parts)
    return stacks, found


def named_layers(
    modules: Sequence[Module], pretrained: Pretrained, targets: Sequence[str] | None
) -> set[int] | None:
    """The numbers of the layers of stacks that an adapter is of, where it is not of all.

    Args:
      modules: the linear layers there are.
      pretrained: the base model.
      targets: ends of the names of the adapted linear layers, or whole names; None where they are
        given otherwise.

    Returns:
      The numbers, where some layers are named and others of their kind are not; None for all.
    """
    table = FAMILIES[pretrained.config.family].names(pretrained.config)
    numbers: set[int] = set()
    some = False
    for module in modules:
        names = [table.canonical(name) for name, _ in module.each()]
        named = {number for number, name in enumerate(names) if _is_named(name, targets, table)}
        if module.copies is not None:
            numbers |= named
            some = some or 0 < len(named) < module.copies
    return numbers if some else None


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
    return faults(
        f"{source}: this adapter cannot be used with {pretrained.name}. {readable}:", found
    )


def _by_canonical_name(
    tensors: Mapping[str, np.ndarray],
    table: NameTable,
    modules: Sequence[Module],
    parts: Mapping[str, str],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Tensors by names without prefixes, and what is wrong with the names."""
    known = {
        f"{table.canonical(name)}.{part}"
        for module in modules
        for name, _ in module.each()
        for part in parts.values()
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
    module: Module,
    given: Mapping[str, np.ndarray],
    parts: Mapping[str, str],
    targets: Sequence[str] | None,
    table: NameTable,
) -> bool:
    """Whether any copy of a layer has a tensor, or is named by the targets."""
    names = [table.canonical(name) for name, _ in module.each()]
    if any(f"{name}.{part}" in given for name in names for part in parts.values()):
        return True
    return any(_is_named(name, targets, table) for name in names)


def _is_named(name: str, targets: Sequence[str] | None, table: NameTable) -> bool:
    return any(_ends_in(table.prefix + name, end) for end in targets or ())


def _tensor_faults(
    module: Module,
    given: Mapping[str, np.ndarray],
    table: NameTable,
    shapes: Mapping[str, list[int]],
    only: Collection[int] | None,
) -> list[str]:
    found = []
    for name, index in module.each():
        left_out = only is not None and index and index[0] not in only
        for part, expected in shapes.items():
            tensor = given.get(f"{table.canonical(name)}.{part}")
            if left_out:
                if tensor is not None:
                    found.append(f"not known: {PREFIX}{name}.{part}, of a layer that is left out")
            elif tensor is None:
                found.append(f"missing: {PREFIX}{name}.{part}")
            elif list(tensor.shape) != expected:
                shape = list(tensor.shape)
                found.append(f"wrong shape: {PREFIX}{name}.{part} is {shape}, expected {expected}")
    return found


def _stacked(
    module: Module,
    given: Mapping[str, np.ndarray],
    table: NameTable,
    parts: Mapping[str, str],
) -> dict[str, np.ndarray]:
    leaves = {}
    for leaf, part in parts.items():
        each = [given.get(f"{table.canonical(name)}.{part}") for name, _ in module.each()]
        present = next(tensor for tensor in each if tensor is not None)
        filled = [np.zeros_like(present.T) if tensor is None else tensor.T for tensor in each]
        leaves[f"{module.path}/{leaf}"] = filled[0] if module.copies is None else np.stack(filled)
    return leaves
