"""Merging what a method added to linear layers into their weights, and taking it out again.

An adapted linear layer is still an affine map, whatever its extra leaves are: its kernel and its
bias are what it makes of the identity and of zero. So there is no formula for each method here.
"""

import re
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import problems_error
from fsl_jax.models.blocks.layers import Dense
from fsl_jax.models.blocks.sections import cut_like, join_sections
from fsl_jax.models.pretrained import Pretrained

_MERGED = re.compile(r"(.+)/(lora_(?:a|b|e|scale|magnitude|norm)|ia3|ia3_in)")
"""Leaves that keep a linear layer affine."""

_SPENT = re.compile(r"vera/[ab]|.+/vera_[db]")
"""Leaves of which `reparametrize` has made others, and which the model does not read."""

_REASONS = {
    r"/lora_[ab]_start$": "apply the method's `reparametrize` first",
    r"(^|[/_])prompt": "a soft prompt is no weight of the model, but vectors before its tokens",
    r"(^|[/_])suffix": "a soft prompt is no weight of the model, but vectors after its tokens",
    r"(^|[/_])prefix": "a prefix is no weight of the model, but keys and values before its own",
    r"/adapter/": "a bottleneck is not linear, so no weight of the model can do what it does",
    r"/bias$": "the base model has no bias there",
}
"""Why other leaves cannot be merged, by regular expressions for their paths."""


def merge(params: Params, pretrained: Pretrained) -> Params:
    """The parameters with what was added to linear layers merged into their kernels and biases.

    LoRA and its variants, VeRA, AdaLoRA and IA3 are merged; what a method has trained of the base
    itself stays as it is, and layers that were cut in two are joined. The model computes the same,
    and its layers cost what the base's do.

    Args:
      params: the whole tree, as `load_adapter`, `load_peft` or a method's `reparametrize` gives it.
        A task head stays in it.
      pretrained: the base model.

    Returns:
      A tree with the leaves of the base, and the head. Kernels and biases keep their dtypes, and
      what was trained of the base itself the one that it was trained in. `fsl_jax.models.export`
      writes it, without the head.

    Raises:
      InputError: something was added that no weight of the model can do, such as a prompt, a prefix
        or a bottleneck; it lists all.
    """
    leaves = flatten(params)
    added = _require_mergeable(leaves, pretrained)
    kept = {path: leaf for path, leaf in leaves.items() if path not in added}
    for parent, extra in _by_layer(leaves, added).items():
        kernel, bias = leaves[f"{parent}/kernel"], leaves.get(f"{parent}/bias")
        kept[f"{parent}/kernel"] = _kernel(kernel, extra).astype(kernel.dtype)
        if bias is not None and "ia3" in extra:
            kept[f"{parent}/bias"] = (bias * extra["ia3"].astype(bias.dtype)).astype(bias.dtype)
    return join_sections(unflatten(kept))


def unmerge(merged: Params, params: Params, pretrained: Pretrained) -> Params:
    """The inverse of `merge`: takes out of merged parameters what was merged into them.

    Args:
      merged: from `merge`, or loaded from what was exported of it.
      params: what `merge` was given; of its linear layers the extra leaves are read, and neither
        kernels nor biases.
      pretrained: the base model; its shapes are read.

    Returns:
      The tree that `merge` was given, up to rounding.

    Raises:
      InputError: something cannot be taken out: what IA3 or DoRA has multiplied by zero, or a
        column that DoRA has changed by as much as its length, so that two kernels give the same;
        it lists all.
    """
    leaves, result = flatten(params), flatten(cut_like(join_sections(merged), params))
    added = _require_mergeable(leaves, pretrained)
    found: list[str] = []
    for parent, extra in _by_layer(leaves, added).items():
        found += _zeros(parent, extra)
        kernel, bias = result[f"{parent}/kernel"], result.get(f"{parent}/bias")
        scaled = kernel.astype(jnp.float32)
        if "ia3" in extra:
            scaled = scaled / extra["ia3"][..., None, :]
        if "ia3_in" in extra:
            scaled = scaled / extra["ia3_in"][..., :, None]
        if "lora_a" in extra:
            update = _kernel(jnp.zeros_like(scaled), _low_rank(extra))
            if "lora_magnitude" in extra:
                found += _lost_columns(parent, update, extra)
                scaled = _without_magnitude(scaled, update, extra)
            scaled = scaled - update
        result[f"{parent}/kernel"] = scaled.astype(kernel.dtype)
        if bias is not None and "ia3" in extra:
            result[f"{parent}/bias"] = (bias / extra["ia3"].astype(bias.dtype)).astype(bias.dtype)
    if found:
        raise problems_error(
            "this cannot be taken out of merged weights; load the base again:", found
        )
    return unflatten(result | {path: leaves[path] for path in added})


def obstacles(paths: Iterable[str], pretrained: Pretrained) -> list[str]:
    """Why an adapter cannot be merged.

    Args:
      paths: of the leaves that are saved of it.
      pretrained: the base model.

    Returns:
      The reasons, each once; none where `merge` takes it.
    """
    added = _added(paths, pretrained)
    return [
        reason for rule, reason in _REASONS.items() if any(re.search(rule, path) for path in added)
    ]


def is_spent(path: str) -> bool:
    """Whether `reparametrize` has made other leaves of this one, which the model does not read."""
    return _SPENT.fullmatch(path) is not None


@jax.jit
def _kernel(kernel: Array, extra: Mapping[str, Array]) -> Array:
    """The matrix of an adapted layer, `[L, in, out]` or `[in, out]`, in float32."""

    def of_one(kernel: Array, extra: Params) -> Array:
        layer = Dense(kernel.shape[1], use_bias=False)
        identity = jnp.eye(kernel.shape[0], dtype=jnp.float32)
        leaves = {"kernel": kernel.astype(jnp.float32), **extra}
        return jnp.asarray(layer.apply({"params": leaves}, identity))

    if kernel.ndim == 2:
        return of_one(kernel, dict(extra))
    # A leaf that all layers have in common is stacked once.
    stacked = {
        name: jnp.broadcast_to(leaf, (len(kernel), *leaf.shape[1:])) for name, leaf in extra.items()
    }
    return jax.lax.map(lambda each: of_one(*each), (kernel, stacked))


def _low_rank(extra: Mapping[str, Array]) -> dict[str, Array]:
    """The leaves of the low-rank update alone."""
    names = ("lora_a", "lora_b", "lora_e", "lora_scale")
    return {name: extra[name] for name in names if name in extra}


def _zeros(parent: str, extra: Mapping[str, Array]) -> list[str]:
    """What IA3 has multiplied by zero."""
    names = [name for name in ("ia3", "ia3_in") if name in extra and not extra[name].all()]
    return [f"{parent}/{name}: it has zeros" for name in names]


def _lost_columns(parent: str, update: Array, extra: Mapping[str, Array]) -> list[str]:
    """Why columns that DoRA has stretched cannot be brought back."""
    own = ~_is_not_stretched(extra)
    zeros = int((own & (extra["lora_magnitude"] == 0)).sum())
    long = int((own & (jnp.linalg.norm(update, axis=-2) >= extra["lora_norm"])).sum())
    found = [f"{parent}/lora_magnitude: it has zeros, {zeros} of {own.size}"] if zeros else []
    if long:
        found.append(
            f"{parent}: the update of DoRA is as long as the column that it changes, or longer, in "
            f"{long} of {own.size}, so that two kernels give the same"
        )
    return found


def _is_not_stretched(extra: Mapping[str, Array]) -> Array:
    """Where DoRA leaves a column its length, as `Dense` has it: `[L, out]` or `[out]`."""
    scale, norm = extra["lora_scale"], extra["lora_norm"]
    return ((scale if scale.ndim == norm.ndim else scale[..., None]) == 0) | (norm == 0)


@jax.jit
def _without_magnitude(kernel: Array, update: Array, extra: Mapping[str, Array]) -> Array:
    """The kernel with its update, from what DoRA has made of it, `[L, in, out]` or `[in, out]`.

    A column w with the update d became c = m (w + d) / l, where m is its magnitude, n its norm, and
    l^2 = n^2 + 2 w.d + |d|^2. So w = l u - d with u = c / m, and l^2 - 2 l u.d = n^2 - |d|^2. Where
    |d| < n, one of the two solutions is positive, as l is. That n is the length of w is not used:
    the kernel itself may have been trained.
    """
    fixed = _is_not_stretched(extra)
    magnitude, norm = extra["lora_magnitude"], extra["lora_norm"]
    unit = kernel / jnp.where(fixed, 1.0, magnitude)[..., None, :]
    shared, own = (unit * update).sum(-2), jnp.linalg.norm(update, axis=-2)
    rest = (norm - own) * (norm + own)
    root = jnp.sqrt(shared**2 + rest)
    # The difference of two numbers that are almost the same is never taken.
    length = jnp.where(shared > 0, shared + root, rest / (root - shared))
    return jnp.where(fixed[..., None, :], kernel, unit * length[..., None, :])


def _require_mergeable(leaves: Params, pretrained: Pretrained) -> list[str]:
    """The paths of what was added to the base."""
    added = _added(leaves, pretrained)
    found = [f"{path}: {_reason(path)}" for path in added if not _is_mergeable(path, leaves)]
    if found:
        raise problems_error(
            "this adaptation cannot be merged into the weights of the model:", found
        )
    return added


def _added(paths: Iterable[str], pretrained: Pretrained) -> list[str]:
    """Those paths that the base has not; a head's are none of them."""
    base = flatten(pretrained.params)
    return [
        path
        for path in paths
        if not path.startswith("head/")
        and re.sub("(^|/)top_layers/", r"\1layers/", path) not in base
    ]


def _is_mergeable(path: str, leaves: Params) -> bool:
    if layer := _MERGED.fullmatch(path):
        starts = f"{layer[1]}/lora_a_start" in leaves
        return f"{layer[1]}/kernel" in leaves and not starts
    merged = any(_MERGED.fullmatch(other) for other in leaves)
    return merged and is_spent(path)


def _reason(path: str) -> str:
    fitting = (reason for rule, reason in _REASONS.items() if re.search(rule, path))
    return next(fitting, "it is not known how")


def _by_layer(leaves: Params, added: list[str]) -> dict[str, dict[str, Array]]:
    """The extra leaves of each adapted linear layer."""
    layers: dict[str, dict[str, Array]] = {}
    for path in added:
        if found := _MERGED.fullmatch(path):
            layers.setdefault(found[1], {})[found[2]] = leaves[path]
    return layers
