"""Merge the added leaves of linear layers into their kernels and biases.

A linear layer with added leaves is still an affine map. So its merged kernel is the layer's output
for the identity matrix, and no method needs a formula of its own here.
"""

from collections.abc import Collection, Iterable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fsl_jax.adapt.methods.leaf_kinds import added_paths
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import problems_error
from fsl_jax.models.blocks.added_leaves import (
    ADDED_LEAVES,
    AddedLeaf,
    Merging,
    find_added_leaf,
    layer_and_name,
)
from fsl_jax.models.blocks.intermediate_leaves import (
    IntermediateLeaf,
    find_intermediate_leaf,
    is_replaced,
)
from fsl_jax.models.blocks.layers import Dense
from fsl_jax.models.blocks.sections import join_sections
from fsl_jax.models.pretrained import Pretrained

_UNKNOWN = "it is not known how"

LayerLeaves = Mapping[str, Array]
"""The added leaves of one linear layer by name; those of stacked layers are `[L, ...]`."""


def merge(params: Params, pretrained: Pretrained) -> Params:
    """Merge the added leaves of linear layers into their kernels and biases.

    LoRA and its variants, VeRA, AdaLoRA and IA3 can be merged. Trained leaves of the base are kept,
    and layers that were cut in two are joined. The merged model computes the same, and its layers
    cost no more than those of the base.

    Args:
      params: the whole tree, as `load_adapter`, `load_peft` or a method's `reparametrize` returns
        it. A task head stays in it.
      pretrained: the base model.

    Returns:
      A tree with the leaves of the base, and the head. Kernels and biases keep their dtypes, and a
      trained leaf of the base keeps the dtype in which it was trained. `fsl_jax.models.export`
      writes the tree without the head.

    Raises:
      InputError: some added leaves cannot be merged into a weight, such as a prompt, a prefix or a
        bottleneck; the error lists all.
    """
    leaves = flatten(params)
    added = require_mergeable(leaves, pretrained)
    merged = {path: leaf for path, leaf in leaves.items() if path not in added}
    for layer, extra in added_by_layer(leaves, added).items():
        kernel, bias = leaves[f"{layer}/kernel"], leaves.get(f"{layer}/bias")
        merged[f"{layer}/kernel"] = adapted_kernel(kernel, extra).astype(kernel.dtype)
        if bias is not None:
            merged[f"{layer}/bias"] = _adapted_bias(bias, layer, extra)
    return join_sections(unflatten(merged))


def obstacles(paths: Iterable[str], pretrained: Pretrained) -> list[str]:
    """List the reasons why an adapter cannot be merged.

    Args:
      paths: the paths of the adapter's saved leaves.
      pretrained: the base model.

    Returns:
      The reasons, each once; empty if `merge` accepts the adapter.
    """
    kinds = [
        find_added_leaf(path)
        for path in _added(paths, pretrained)
        if not find_intermediate_leaf(path)
    ]
    reasons = (kind.merging for kind in ADDED_LEAVES if kind in kinds)
    return [reason for reason in reasons if isinstance(reason, str)]


def require_mergeable(leaves: Params, pretrained: Pretrained) -> list[str]:
    """Return the paths of the leaves that were added to linear layers of the base.

    Args:
      leaves: a whole tree by path.
      pretrained: the base model.

    Returns:
      The paths, including those of intermediate leaves that `reparametrize` has replaced.

    Raises:
      InputError: some leaves cannot be merged; the error lists them all, with the reasons.
    """
    added = _added(leaves, pretrained)
    reasons = {path: _reason_against(path, leaves) for path in added}
    problems = [f"{path}: {reason}" for path, reason in reasons.items() if reason]
    if problems:
        raise problems_error(
            "this adaptation cannot be merged into the weights of the model:", problems
        )
    return added


def added_by_layer(leaves: Params, added: Iterable[str]) -> dict[str, dict[str, Array]]:
    """Return the added leaves of each adapted linear layer.

    Args:
      leaves: a whole tree by path.
      added: from `require_mergeable`.

    Returns:
      The added leaves by name, for each layer by path.
    """
    layers: dict[str, dict[str, Array]] = {}
    for path in added:
        kind = find_added_leaf(path)
        if kind is not None and not find_intermediate_leaf(path):
            layer, name = layer_and_name(path, kind)
            layers.setdefault(layer, {})[name] = leaves[path]
    return layers


def leaves_of(layer: str, extra: LayerLeaves, merging: Merging) -> dict[str, Array]:
    """Return the added leaves of a layer that are merged in a given way, by name."""
    return {
        name: leaf
        for name, leaf in extra.items()
        if (kind := find_added_leaf(f"{layer}/{name}")) and kind.merging is merging
    }


@jax.jit
def adapted_kernel(kernel: Array, extra: LayerLeaves) -> Array:
    """Return the matrix of an adapted layer in float32, `[L, in, out]` or `[in, out]`."""

    def of_one(kernel: Array, extra: Params) -> Array:
        layer = Dense(kernel.shape[1], use_bias=False)
        identity = jnp.eye(kernel.shape[0], dtype=jnp.float32)
        leaves = {"kernel": kernel.astype(jnp.float32), **extra}
        return jnp.asarray(layer.apply({"params": leaves}, identity))

    if kernel.ndim == 2:
        return of_one(kernel, dict(extra))
    # A leaf that all layers share has a leading axis of 1.
    stacked = {
        name: jnp.broadcast_to(leaf, (len(kernel), *leaf.shape[1:])) for name, leaf in extra.items()
    }
    return jax.lax.map(lambda both: of_one(*both), (kernel, stacked))


def _adapted_bias(bias: Array, layer: str, extra: LayerLeaves) -> Array:
    """Return the bias of an adapted layer, multiplied by the factors of the layer's output."""
    for factor in leaves_of(layer, extra, Merging.OUTPUT_FACTOR).values():
        bias = (bias * factor.astype(bias.dtype)).astype(bias.dtype)
    return bias


def _added(paths: Iterable[str], pretrained: Pretrained) -> list[str]:
    """Return the paths that the base lacks, except those of leaves that stay unchanged."""
    added = added_paths(paths, flatten(pretrained.params))
    return [path for path in added if not _stays(path)]


def _stays(path: str) -> bool:
    kind = find_added_leaf(path)
    return kind is not None and kind.merging is Merging.STAYS


def _reason_against(path: str, leaves: Collection[str]) -> str:
    """Return the reason why a leaf cannot be merged, or an empty string."""
    kind: IntermediateLeaf | AddedLeaf | None = find_intermediate_leaf(path)
    if isinstance(kind, IntermediateLeaf):
        return "" if is_replaced(path, kind, leaves) else kind.reason
    kind = find_added_leaf(path)
    if kind is None:
        return _UNKNOWN
    if isinstance(kind.merging, str):
        return kind.merging
    layer, _ = layer_and_name(path, kind)
    return "" if f"{layer}/kernel" in leaves else _UNKNOWN
