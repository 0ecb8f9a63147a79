"""Stack adapters of different methods and sizes, so that each row of a batch can have one."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array

from fsl_jax.adapt.methods.leaf_kinds import is_known
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import problems_error
from fsl_jax.models.blocks.added_leaves import (
    find_added_leaf,
    layer_and_name,
    neutral_value,
    unknown_leaf,
)
from fsl_jax.models.blocks.intermediate_leaves import find_intermediate_leaf, is_replaced
from fsl_jax.models.pretrained import Pretrained

HEAD_MASK = "head/mask"
"""The path of a stacked head's class mask, `[N, C]`: 1 for a class, 0 for padding."""


def stack_adapters(trees: Sequence[Params], pretrained: Pretrained) -> Params:
    """Stack the leaves that adapters do not share, for `apply_rows`, `row_params` and task heads.

    The adapters may be of different methods and sizes. A smaller leaf is padded with zeros. An
    adapter that lacks a leaf of another adapter gets the value that changes nothing there (see
    `fsl_jax.models.blocks.added_leaves`). VeRA's matrices, which all layers share, are repeated for
    each layer if another adapter has different ones for each.

    Args:
      trees: N whole trees on the same base, from `load_adapter`, `load_peft` or a method's
        `reparametrize`.
      pretrained: the base model. A leaf that is the same object as the base's is not stacked.

    Returns:
      A nested dict of leaves `[N, ...]`: the leaves added to the base, and the trained leaves of
      the base. Task heads, `head/kernel [N, D, C]` and `head/bias [N, C]`, have as many classes as
      the largest, and `head/mask [N, C]` is 0 for a class that an adapter does not have.

    Raises:
      InputError: an adapter has its layers cut in two, is of another base, has leaves of an unknown
        kind or is not reparametrised, or there is nothing to stack. The error lists all problems.
    """
    base = flatten(pretrained.params)
    adapters = [_adapter_leaves(tree, base) for tree in trees]
    _require_stackable(adapters, base)
    adapters = _with_factors(adapters)
    return unflatten(
        {
            path: _stack(path, [leaves.get(path) for leaves in adapters], base.get(path))
            for path in dict.fromkeys(path for leaves in adapters for path in leaves)
        }
    )


def _adapter_leaves(tree: Params, base: Params) -> Params:
    """Return the leaves that are not the base's, by path, without those that were replaced."""
    leaves = flatten(tree)
    adapter_leaves = {
        path: jnp.asarray(leaf)
        for path, leaf in leaves.items()
        if leaf is not base.get(path)
        and not ((kind := find_intermediate_leaf(path)) and is_replaced(path, kind, leaves))
    }
    if "head/bias" in adapter_leaves:
        adapter_leaves[HEAD_MASK] = jnp.ones_like(adapter_leaves["head/bias"])
    return adapter_leaves


def _with_factors(adapters: Sequence[Params]) -> list[Params]:
    """Add the factors inside an update that only other adapters have, with neutral values.

    Such a factor gets the size of the adapter's other leaf, so a smaller adapter's padding stays
    zero.
    """
    factors = {}
    for path in dict.fromkeys(path for leaves in adapters for path in leaves):
        kind = find_added_leaf(path)
        if kind is not None and kind.sized_by:
            factors[path] = kind.neutral, f"{layer_and_name(path, kind)[0]}/{kind.sized_by}"

    def missing(leaves: Params) -> Params:
        return {
            path: jnp.full_like(leaves[other][..., 0, :], neutral)
            for path, (neutral, other) in factors.items()
            if path not in leaves and other in leaves
        }

    return [leaves | missing(leaves) for leaves in adapters]


def _require_stackable(adapters: Sequence[Params], base: Params) -> None:
    """Raise an error for adapters that cannot be stacked."""
    problems = [
        f"adapter {number}: {problem}"
        for number, leaves in enumerate(adapters)
        for problem in _problems_of(leaves, base)
    ]
    if not any(adapters):
        problems.append(f"found {len(adapters)} trees without a leaf that is not the base's own")
    if problems:
        raise problems_error("these adapters cannot be in one batch:", problems)


def _problems_of(leaves: Params, base: Params) -> list[str]:
    """List the reasons why one adapter cannot be stacked."""
    if any("top_layers/" in path for path in leaves):
        return [
            "its layers are cut in two (top_layers). Merge it and load it as a model of its own, "
            "or train other layers"
        ]
    unread = [path for path in leaves if path not in base and find_intermediate_leaf(path)]
    return [
        *(
            f"{path} is not what the model reads. Apply the method's `reparametrize` first"
            for path in unread
        ),
        *(unknown_leaf(path) for path in leaves if path not in base and not is_known(path)),
        *(
            f"{path} is {list(leaf.shape)} and the base's is {list(base[path].shape)}. Load the "
            "adapter on this base"
            for path, leaf in leaves.items()
            if path in base and leaf.shape != base[path].shape
        ),
    ]


def _stack(path: str, leaves: Sequence[Array | None], base: Array | None) -> Array:
    """Stack a leaf of all adapters, `[N, ...]`, with a neutral value where an adapter lacks it."""
    shapes = [leaf.shape for leaf in leaves if leaf is not None]
    axes = max(map(len, shapes))
    # A scale may be one number for a layer, or one for each of its outputs.
    filled = [(*shape, *[1] * (axes - len(shape))) for shape in shapes]
    shape = tuple(map(max, zip(*filled, strict=True)))
    neutral = jnp.full(shape, neutral_value(path)) if base is None else base
    return jnp.stack([_fitted(path, neutral if leaf is None else leaf, shape) for leaf in leaves])


def _fitted(path: str, leaf: Array, shape: tuple[int, ...]) -> Array:
    """Repeat a leaf over the outputs or layers that share it, and pad the rest with zeros."""
    axes = leaf.ndim
    shared = [axis >= axes or (axis == 0 and _is_shared(path, leaf)) for axis in range(len(shape))]
    expanded = leaf.astype(jnp.float32).reshape(*leaf.shape, *[1] * (len(shape) - axes))
    sizes = [
        full if repeated else size
        for repeated, full, size in zip(shared, shape, expanded.shape, strict=True)
    ]
    missing = [(0, full - size) for full, size in zip(shape, sizes, strict=True)]
    return jnp.pad(jnp.broadcast_to(expanded, sizes), missing)


def _is_shared(path: str, leaf: Array) -> bool:
    """Tell whether all layers of a stack share the leaf, as `run_stack` reads it."""
    return "layers/" in path and leaf.shape[0] == 1
