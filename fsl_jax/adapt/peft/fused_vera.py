"""VeRA on parts of a linear layer that PEFT has whole: GPT-2's queries, keys and values.

There the parts have one vector over the directions, and rows of `vera_B` that follow each other.
Parts with vectors of their own are one layer of more directions: each has a block of them, in which
`vera_B` is zero but for its rows. Layers that are whole have one more block.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

import numpy as np

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.vera import VeRA, format_columns
from fsl_jax.adapt.peft.fused import Leaves, fused_layers
from fsl_jax.adapt.peft.modules import Module
from fsl_jax.models.pretrained import Pretrained


def columns_of_parts(modules: Iterable[Module], leaves: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Where in PEFT's matrix the columns of parts begin, `[R, out]` as it is here.

    Args:
      modules: linear layers, of which some are in several parts here.
      leaves: `vera_b [L, out]` by path, of at least one part of these.

    Returns:
      The first column of each part by path.
    """
    found: dict[str, int] = {}
    for module in modules:
        if own := [leaves[path] for x in module.parts if (path := f"{x}/vera_b") in leaves]:
            width = own[0].shape[-1]
            found |= {part: number * width for number, part in enumerate(module.parts)}
    return found


def with_shared_vectors(
    method: Method, leaves: Leaves, pretrained: Pretrained
) -> tuple[Method, Leaves]:
    """A VeRA whose parts of a layer share their vector over the directions, for PEFT.

    Args:
      method: the method; all but VeRA is left as it is.
      leaves: what is saved of it, by path.
      pretrained: the base model.

    Returns:
      A VeRA of as many times the rank as there are blocks, and its leaves; or what was given.
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
    targets = sorted({path.removesuffix("/vera_d") for path in joined if path.endswith("/vera_d")})
    wider = dataclasses.replace(
        method,
        rank=count * method.rank,
        targets=f"^({'|'.join(map(re.escape, targets))})$",
        projection_key=-1,
        columns=format_columns(columns),
    )
    return wider, leaves | joined


def _is_apart(
    module: Module, leaves: Mapping[str, np.ndarray], method: VeRA, columns: Mapping[str, int]
) -> bool:
    """Whether not all parts of a layer are adapted as one is in PEFT."""
    if any(method.first_column(part) != columns[part] for part in module.parts):
        return True
    found = [leaves.get(f"{part}/vera_d", np.nan) for part in module.parts]
    return not all(np.array_equal(each, found[0]) for each in found)


def _vectors(
    module: Module, leaves: Mapping[str, np.ndarray], blocks: list[str], count: int
) -> Leaves:
    """The vectors of a layer's parts: all have the same one over the directions of all blocks."""
    own = [part for part in module.parts if part in blocks]
    shared = sum(_in_block(leaves[f"{x}/vera_d"], blocks.index(x), count) for x in own)
    zeros = np.zeros_like(leaves[f"{own[0]}/vera_b"])
    found = {f"{part}/vera_b": leaves.get(f"{part}/vera_b", zeros) for part in module.parts}
    return found | {f"{part}/vera_d": np.asarray(shared) for part in module.parts}


def _in_block(vector: np.ndarray, number: int, count: int) -> np.ndarray:
    """A vector over the directions `[L, R]` in its block of `[L, count * R]`."""
    blocks = [vector if number == each else np.zeros_like(vector) for each in range(count)]
    return np.concatenate(blocks, axis=-1)


def _matrices(
    leaves: Mapping[str, np.ndarray],
    method: VeRA,
    blocks: list[str],
    columns: Mapping[str, int],
    count: int,
) -> Leaves:
    """`vera/a [in, R]` and `vera/b [R, out]` once for each block; a last one is whole."""
    a, b = leaves["vera/a"], leaves["vera/b"]
    sizes = {part: leaves[f"{part}/vera_b"].shape[-1] for part in blocks}
    # The last part's columns end where PEFT's layer does, whether it is adapted or not.
    last = max(columns.values()) + max(sizes.values())
    wide = np.zeros((b.shape[0], max(last, b.shape[1])), b.dtype)
    places = [(columns[part], method.first_column(part), sizes[part]) for part in blocks]
    places += [(0, 0, b.shape[1])] * (count - len(blocks))
    found = []
    for start, first, size in places:
        found.append(wide.copy())
        found[-1][:, start : start + size] = b[:, first : first + size]
    return {"vera/a": np.tile(a, (1, count)), "vera/b": np.concatenate(found)}
