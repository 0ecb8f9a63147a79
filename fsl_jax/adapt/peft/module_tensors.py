"""Write and read the tensors of the linear layers and norms that an adapter adapts.

Here a leaf is one stack for all layers, `[L, ...]`; PEFT has a tensor for each layer, transposed
like PyTorch's weights.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.modules import PREFIX, AdaptedModule, PeftModule
from fsl_jax.adapt.peft.targets import find_adapted, read_targets
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_map import TensorMap


def saved_modules(
    leaves: Mapping[str, np.ndarray], modules: Sequence[PeftModule], parts: Iterable[str]
) -> list[AdaptedModule]:
    """Return the linear layers that have leaves.

    Args:
      leaves: by path: `layers/attention/query/lora_a`.
      modules: all linear layers.
      parts: the names of leaves: `lora_a`.

    Returns:
      The layers that have leaves. A copy with only zeros is left out, since it does nothing and
      learns nothing, unless all copies are zero.
    """
    adapted = []
    for module in modules:
        module_leaves = [
            leaves[path] for part in parts if (path := f"{module.path}/{part}") in leaves
        ]
        if module_leaves:
            names = [name for name, _ in module.named_copies()]
            used = [
                any(leaf[index].any() for leaf in module_leaves)
                for _, index in module.named_copies()
            ]
            pairs = zip(names, used, strict=True)
            kept = tuple(name if is_used or not any(used) else None for name, is_used in pairs)
            adapted.append(AdaptedModule(module, kept))
    return adapted


def write_modules(
    leaves: Mapping[str, np.ndarray], adapted: Sequence[AdaptedModule], parts: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Return the tensors of the adapted linear layers, transposed like PyTorch's weights.

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
        if (path := f"{each.path}/{leaf}") in leaves
        for name, index in each.named_copies()
    }


def read_adapted(
    reader: AdapterReader,
    tensors: Mapping[str, np.ndarray],
    parts: Mapping[str, str],
    shape_of: Callable[[AdaptedModule, str, str], Sequence[int]],
    modules: Sequence[PeftModule],
) -> tuple[dict[str, np.ndarray], list[AdaptedModule]]:
    """Read the leaves of the layers that an adapter's config names, and report all problems.

    Args:
      reader: the adapter, whose config has no `target_problems`.
      tensors: the tensors of its layers by PEFT's names.
      parts: PEFT's word for each leaf.
      shape_of: the shape of a part, of the copy of a layer that has a name.
      modules: the layers that this kind of adapter can adapt.

    Returns:
      The leaves by path, as `read_modules` returns them, and the layers that are adapted.
    """
    targets = read_targets(reader.values)
    adapted, problems = find_adapted(tensors, reader.pretrained, modules, targets)
    reader.report(problems)
    leaves, problems = read_modules(tensors, reader.pretrained, parts, shape_of, modules, adapted)
    reader.report(problems)
    return leaves, adapted


def read_modules(
    tensors: Mapping[str, np.ndarray],
    pretrained: Pretrained,
    parts: Mapping[str, str],
    shape_of: Callable[[AdaptedModule, str, str], Sequence[int]],
    modules: Sequence[PeftModule],
    adapted: Sequence[AdaptedModule],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Undo `write_modules`, and check that every tensor is known and has the right shape.

    Args:
      tensors: by PEFT's names.
      pretrained: the base model.
      parts: PEFT's word for each leaf.
      shape_of: the shape of a part, of the copy of a layer that has a name.
      modules: all layers.
      adapted: the layers that the adapter adapts.

    Returns:
      The leaves by path, joined to stacks, and all problems. Copies that are left out become zeros,
      and smaller copies are padded with zeros to the largest of their stack.
    """
    table = FAMILIES[pretrained.config.family].tensor_map(pretrained.config)
    by_name, problems = _by_canonical_name(tensors, table, modules, parts, adapted)
    stacks: dict[str, np.ndarray] = {}
    for module in adapted:
        module_problems = _tensor_problems(module, by_name, table, parts, shape_of)
        problems += module_problems
        if not module_problems:
            stacks |= _stacked(module, by_name, table, parts)
    return stacks, problems


def filled_up(leaf: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Add zeros at the end of an axis of a leaf, up to a size."""
    widths = [(0, 0)] * leaf.ndim
    widths[axis] = (0, size - leaf.shape[axis])
    return np.pad(leaf, widths)


def adapted_paths(leaves: Iterable[str]) -> list[str]:
    """Return the paths of the layers that have leaves, each once: `layers/attention/query`."""
    return sorted({path.rpartition("/")[0] for path in leaves})


def _by_canonical_name(
    tensors: Mapping[str, np.ndarray],
    table: TensorMap,
    modules: Sequence[PeftModule],
    parts: Mapping[str, str],
    adapted: Sequence[AdaptedModule],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the tensors by names without prefixes, and the problems of their names."""
    known = {table.canonical(name) for module in modules for name, _ in module.named_copies()}
    chosen = {table.canonical(name) for module in adapted for name, _ in module.named_copies()}
    by_name: dict[str, np.ndarray] = {}
    problems = []
    for full, tensor in tensors.items():
        name = table.canonical(full.removeprefix(PREFIX))
        part = next((part for part in parts.values() if name.endswith(f".{part}")), None)
        layer = name.removesuffix(f".{part}")
        if part is None or layer not in known:
            problems.append(f"not known: {full}")
        elif layer not in chosen:
            problems.append(f"not known: {full}, of a layer that is left out")
        elif name in by_name:
            problems.append(f"duplicate: {full} is there under another name too")
        by_name[name] = tensor
    return by_name, problems


def _tensor_problems(
    adapted: AdaptedModule,
    by_name: Mapping[str, np.ndarray],
    table: TensorMap,
    parts: Mapping[str, str],
    shape_of: Callable[[AdaptedModule, str, str], Sequence[int]],
) -> list[str]:
    problems = []
    for name, _ in adapted.named_copies():
        for part in parts.values():
            tensor = by_name.get(f"{table.canonical(name)}.{part}")
            expected = shape_of(adapted, part, name)
            if tensor is None:
                problems.append(f"missing: {PREFIX}{name}.{part}")
            elif list(tensor.shape) != list(expected):
                shape = f"{list(tensor.shape)}, expected {list(expected)}"
                problems.append(f"wrong shape: {PREFIX}{name}.{part} is {shape}")
    return problems


def _stacked(
    adapted: AdaptedModule,
    by_name: Mapping[str, np.ndarray],
    table: TensorMap,
    parts: Mapping[str, str],
) -> dict[str, np.ndarray]:
    leaves = {}
    for leaf, part in parts.items():
        copies = {
            index: by_name[f"{table.canonical(name)}.{part}"].T
            for name, index in adapted.named_copies()
        }
        depth = () if adapted.copies is None else (adapted.copies,)
        widest = np.max([tensor.shape for tensor in copies.values()], axis=0)
        stack = np.zeros((*depth, *widest), next(iter(copies.values())).dtype)
        for index, tensor in copies.items():
            position: tuple[int | slice, ...] = (*index, *map(slice, tensor.shape))
            stack[position] = tensor
        leaves[f"{adapted.path}/{leaf}"] = stack
    return leaves
