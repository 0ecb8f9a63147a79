"""Recover the unmerged weights from merged ones: the inverse of `merge`."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fsl_jax.adapt.merging import (
    LayerLeaves,
    adapted_kernel,
    added_by_layer,
    leaves_of,
    require_mergeable,
)
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import problems_error
from fsl_jax.models.blocks.added_leaves import Merging
from fsl_jax.models.blocks.sections import cut_like, join_sections
from fsl_jax.models.pretrained import Pretrained


def unmerge(merged: Params, params: Params, pretrained: Pretrained) -> Params:
    """Recover the parameters that `merge` was given.

    Args:
      merged: the result of `merge`, also after it was exported and loaded.
      params: the tree that `merge` was given. Only the added leaves of its linear layers are read,
        not their kernels and biases.
      pretrained: the base model; only its shapes are read.

    Returns:
      The tree that `merge` was given, up to rounding.

    Raises:
      InputError: a weight cannot be recovered. IA3 or DoRA has multiplied it by zero, or DoRA has
        changed a column by as much as its length, so that two kernels give the same result. The
        error lists all.
    """
    leaves, result = flatten(params), flatten(cut_like(join_sections(merged), params))
    added = require_mergeable(leaves, pretrained)
    problems: list[str] = []
    for layer, extra in added_by_layer(leaves, added).items():
        problems += _zeros(layer, extra)
        kernel, bias = result[f"{layer}/kernel"], result.get(f"{layer}/bias")
        update = _update(kernel, layer, extra)
        if leaves_of(layer, extra, Merging.LENGTH):
            problems += _lost_columns(layer, update, extra)
        result[f"{layer}/kernel"] = _base_kernel(kernel, update, layer, extra)
        if bias is not None:
            result[f"{layer}/bias"] = _base_bias(bias, layer, extra)
    if problems:
        raise problems_error(
            "this cannot be taken out of merged weights; load the base again:", problems
        )
    return unflatten(result | {path: leaves[path] for path in added})


def _base_kernel(kernel: Array, update: Array | None, layer: str, extra: LayerLeaves) -> Array:
    """Return the kernel of a layer before merging, `[L, in, out]` or `[in, out]`."""
    weight = kernel.astype(jnp.float32)
    for factor in leaves_of(layer, extra, Merging.OUTPUT_FACTOR).values():
        weight = weight / factor[..., None, :]
    for factor in leaves_of(layer, extra, Merging.INPUT_FACTOR).values():
        weight = weight / factor[..., :, None]
    if update is not None:
        if leaves_of(layer, extra, Merging.LENGTH):
            weight = _without_magnitude(weight, update, extra)
        weight = weight - update
    return weight.astype(kernel.dtype)


def _base_bias(bias: Array, layer: str, extra: LayerLeaves) -> Array:
    """Return the bias of a layer before merging."""
    for factor in leaves_of(layer, extra, Merging.OUTPUT_FACTOR).values():
        bias = (bias / factor.astype(bias.dtype)).astype(bias.dtype)
    return bias


def _update(kernel: Array, layer: str, extra: LayerLeaves) -> Array | None:
    """Return the low-rank update of a layer in float32; None if it has none."""
    leaves = leaves_of(layer, extra, Merging.UPDATE)
    return adapted_kernel(jnp.zeros(kernel.shape, jnp.float32), leaves) if leaves else None


def _zeros(layer: str, extra: LayerLeaves) -> list[str]:
    """List the factors that have zeros."""
    factors = {
        **leaves_of(layer, extra, Merging.OUTPUT_FACTOR),
        **leaves_of(layer, extra, Merging.INPUT_FACTOR),
    }
    return [f"{layer}/{name}: it has zeros" for name, factor in factors.items() if not factor.all()]


def _lost_columns(layer: str, update: Array | None, extra: LayerLeaves) -> list[str]:
    """List the reasons why columns that DoRA has stretched cannot be recovered."""
    if update is None:
        return []
    stretched = ~_is_not_stretched(extra)
    zeros = int((stretched & (extra["lora_magnitude"] == 0)).sum())
    lengths = jnp.linalg.norm(update, axis=-2)
    long = int((stretched & (lengths >= extra["lora_norm"])).sum())
    count = stretched.size
    problems = [f"{layer}/lora_magnitude: it has zeros, {zeros} of {count}"] if zeros else []
    if long:
        problems.append(
            f"{layer}: the update of DoRA is as long as the column that it changes, or longer, in "
            f"{long} of {count}, so that two kernels give the same"
        )
    return problems


def _is_not_stretched(extra: LayerLeaves) -> Array:
    """Return True where DoRA keeps a column's length, as in `Dense`: bool `[L, out]` or `[out]`."""
    scale, norm = extra["lora_scale"], extra["lora_norm"]
    return ((scale if scale.ndim == norm.ndim else scale[..., None]) == 0) | (norm == 0)


@jax.jit
def _without_magnitude(kernel: Array, update: Array, extra: LayerLeaves) -> Array:
    """Return the kernel plus its update before DoRA's stretch, `[L, in, out]` or `[in, out]`.

    A column w with the update d became c = m (w + d) / l, where m is its magnitude, n its norm, and
    l^2 = n^2 + 2 w.d + |d|^2. So w = l u - d with u = c / m, and l^2 - 2 l u.d = n^2 - |d|^2. Where
    |d| < n, exactly one solution is positive, and l is positive. The equations do not assume that n
    is the length of w, because the kernel itself may have been trained.
    """
    fixed = _is_not_stretched(extra)
    magnitude, norm = extra["lora_magnitude"], extra["lora_norm"]
    unit = kernel / jnp.where(fixed, 1.0, magnitude)[..., None, :]
    along, length_of_update = (unit * update).sum(-2), jnp.linalg.norm(update, axis=-2)
    rest = (norm - length_of_update) * (norm + length_of_update)
    root = jnp.sqrt(along**2 + rest)
    # This form avoids the difference of two almost equal numbers.
    length = jnp.where(along > 0, along + root, rest / (root - along))
    return jnp.where(fixed[..., None, :], kernel, unit * length[..., None, :])
