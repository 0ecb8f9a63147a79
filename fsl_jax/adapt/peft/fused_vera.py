"""VeRA on parts of one PEFT layer: GPT-2's queries, keys and values.

In PEFT the parts share one vector over the directions, and their rows of `vera_B` are contiguous.
Parts with their own vectors become one layer with more directions: each part has a block of
directions in which `vera_B` is zero except for its rows. Layers without parts have one more block.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.vera import VeRA, format_columns
from fsl_jax.adapt.peft.fused import Leaves, fused_layers
from fsl_jax.adapt.peft.modules import PeftModule
from fsl_jax.adapt.peft.targets import pattern_of
from fsl_jax.models.pretrained import Pretrained


def columns_of_parts(
    modules: Iterable[PeftModule], leaves: Mapping[str, np.ndarray]
) -> dict[str, int]:
    """Return the first column of each part in PEFT's random matrix, here `[R, out]`.

    Args:
      modules: linear layers, some with several parts here.
      leaves: `vera_b [L, out]` by path, for at least one part of these layers.

    Returns:
      The first column of each part by path.
    """
    columns: dict[str, int] = {}
    for module in modules:
        if vectors := [leaves[path] for x in module.parts if (path := f"{x}/vera_b") in leaves]:
            width = vectors[0].shape[-1]
            columns |= {part: number * width for number, part in enumerate(module.parts)}
    return columns


def with_shared_vectors(
    method: Method, leaves: Leaves, pretrained: Pretrained
) -> tuple[Method, Leaves]:
    """Return a VeRA in which the parts of a layer share `vera_d`, as PEFT's format requires.

    Args:
      method: the method; any method except VeRA is returned unchanged.
      leaves: its saved leaves by path.
      pretrained: the base model.

    Returns:
      A VeRA with its rank multiplied by the number of blocks, and its leaves; or the unchanged
      arguments.
    """
    if not isinstance(method, VeRA):
        return method, leaves
    columns = columns_of_parts(fused_layers(pretrained.config), leaves)
    fused = [x for x in fused_layers(pretrained.config) if x.parts[0] in columns]
    apart = [module for module in fused if _is_apart(module, leaves, method, columns)]
    if not apart:
        return method, leaves
    blocks = [x for module in apart for x in module.parts if f"{x}/vera_b" in leaves]
    paths = [path.removesuffix("/vera_d") for path in leaves if path.endswith("/vera_d")]
    whole = [path for path in paths if path not in blocks]
    count = len(blocks) + bool(whole)
    joined = _matrices(leaves, method, blocks, columns, count)
    for path in whole:
        joined[f"{path}/vera_d"] = _in_block(leaves[f"{path}/vera_d"], count - 1, count)
    for module in apart:
        joined |= _vectors(module, leaves, blocks, count)
    targets = {path.removesuffix("/vera_d") for path in joined if path.endswith("/vera_d")}
    wider = dataclasses.replace(
        method,
        rank=count * method.rank,
        targets=pattern_of(sorted(targets)),
        projection_key=-1,
        columns=format_columns(columns),
    )
    return wider, leaves | joined


def _is_apart(
    module: PeftModule, leaves: Mapping[str, np.ndarray], method: VeRA, columns: Mapping[str, int]
) -> bool:
    """Return True if the parts of a layer are not adapted in the way of one PEFT layer."""
    if any(method.first_column(part) != columns[part] for part in module.parts):
        return True
    vectors = [leaves.get(f"{part}/vera_d", np.nan) for part in module.parts]
    return not all(np.array_equal(vector, vectors[0]) for vector in vectors)


def _vectors(
    module: PeftModule, leaves: Mapping[str, np.ndarray], blocks: list[str], count: int
) -> Leaves:
    """Return the vectors of a layer's parts, which share one over the directions of all blocks."""
    adapted = [part for part in module.parts if part in blocks]
    shared = sum(_in_block(leaves[f"{x}/vera_d"], blocks.index(x), count) for x in adapted)
    zeros = np.zeros_like(leaves[f"{adapted[0]}/vera_b"])
    vectors = {f"{part}/vera_b": leaves.get(f"{part}/vera_b", zeros) for part in module.parts}
    return vectors | {f"{part}/vera_d": np.asarray(shared) for part in module.parts}


def _in_block(vector: np.ndarray, number: int, count: int) -> np.ndarray:
    """Put a vector over the directions `[L, R]` into its block of `[L, count * R]`."""
    blocks = [vector if number == each else np.zeros_like(vector) for each in range(count)]
    return np.concatenate(blocks, axis=-1)


def _matrices(
    leaves: Mapping[str, np.ndarray],
    method: VeRA,
    blocks: list[str],
    columns: Mapping[str, int],
    count: int,
) -> Leaves:
    """Repeat `vera/a [in, R]` and `vera/b [R, out]` for each block; the last may be whole."""
    a, b = leaves["vera/a"], leaves["vera/b"]
    sizes = {part: leaves[f"{part}/vera_b"].shape[-1] for part in blocks}
    # The last part's columns end where PEFT's layer ends, even if the part is not adapted.
    last = max(columns.values()) + max(sizes.values())
    wide = np.zeros((b.shape[0], max(last, b.shape[1])), b.dtype)
    positions = [(columns[part], method.first_column(part), sizes[part]) for part in blocks]
    positions += [(0, 0, b.shape[1])] * (count - len(blocks))
    copies = []
    for start, first, size in positions:
        copies.append(wide.copy())
        copies[-1][:, start : start + size] = b[:, first : first + size]
    return {"vera/a": np.tile(a, (1, count)), "vera/b": np.concatenate(copies)}
