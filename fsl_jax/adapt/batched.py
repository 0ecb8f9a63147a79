"""Many adapters in one batch: every row of it has its own, or none.

See `fsl_jax.models.blocks.row_params`.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from fsl_jax.adapt.merging import is_spent
from fsl_jax.adapt.parts.soft_prompt import SUFFIX
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.blocks.after_tokens import append_suffix
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.blocks.row_params import NO_ADAPTER, RowParams, map_rows, neutral_value
from fsl_jax.models.outputs import KeyValues, ModelOutput
from fsl_jax.models.pretrained import Pretrained

HEAD_MASK = "head/mask"
"""Which classes a stacked head has, `[N, C]`: 1 for a class, 0 for padding."""

_UNREAD = re.compile(r".+/lora_[ab]_start|(prefix|prompt)_encoder/.+|.+/vera_[db]")
"""Leaves that the model does not read before `reparametrize` has made others of them."""

AnyArray = Array | np.ndarray
Reparametrize = Callable[[Params], Params]
Stacked = Params | tuple[Params, ...]


def stack_adapters(trees: Sequence[Params], pretrained: Pretrained) -> Params:
    """Stacks what adapters have of their own, for `apply_rows`, `row_params` and task heads.

    They may be of different methods and sizes. What is smaller is padded with zeros, and an adapter
    that lacks what another has gets there what changes nothing. VeRA's matrices, which all layers
    share, are repeated for each layer where another adapter has its own for each.

    Args:
      trees: N whole trees on the same base, as `load_adapter`, `load_peft` or a method's
        `reparametrize` gives them.
      pretrained: the base model. A leaf that is the base's own object is nobody's own.

    Returns:
      A nested dict of leaves `[N, ...]`: what is added to the base, and what is trained of it. Task
      heads, `head/kernel [N, D, C]` and `head/bias [N, C]`, have as many classes as the largest,
      and beside them is `head/mask [N, C]`, which is 0 for a class that an adapter does not have.

    Raises:
      InputError: adapters have their layers cut in two, are of another base, or are not
        reparametrised, or there is nothing to stack; it lists all.
    """
    base = flatten(pretrained.params)
    owned = [_own_leaves(tree, base) for tree in trees]
    _require_stackable(owned, base)
    owned = _with_inner_factors(owned)
    return unflatten(
        {
            path: _stack(path, [own.get(path) for own in owned], base.get(path))
            for path in dict.fromkeys(path for own in owned for path in own)
        }
    )


def row_params(
    pretrained: Pretrained,
    params: Params,
    stacked: Stacked,
    index: Int[AnyArray, " B"],
    *,
    reparametrize: Reparametrize | None = None,
) -> RowParams:
    """The parameters of rows with different adapters, for `fsl_jax.models.generate`.

    Args:
      pretrained: the base model.
      params: its parameters, which are held once.
      stacked: leaves `[N, ...]` of N adapters, from `stack_adapters`; or what a training's stack
        has of its runs, `(stack.trainable, stack.frozen_leaves)`. Where one of several
        trees has a leaf, it is None in the others or absent.
      index: int32 `[B]`, which adapter a row has, from 0 to N - 1, or -1 for none: such a row gets
        the numbers of the base. Another number is an error, or where it is traced gives a row of
        NaN.
      reparametrize: a method's, for leaves that are still as they are trained.

    Returns:
      The parameters of B rows.

    Raises:
      InputError: there is no such adapter, its layers are cut in two, its leaves are not what the
        model reads and there is no `reparametrize`, or the parameters are not those of the base.
    """
    trees = stacked if isinstance(stacked, tuple) else (stacked,)
    leaves = {
        path: leaf for tree in trees for path, leaf in flatten(tree).items() if leaf is not None
    }
    numbers = jnp.asarray(index, jnp.int32)
    _require_readable(leaves, reparametrize)
    _require_in_range(numbers, {leaf.shape[0] for leaf in leaves.values()})
    _require_base(pretrained, params)
    return RowParams(params, leaves, numbers, reparametrize)


def apply_rows(
    pretrained: Pretrained,
    params: Params,
    stacked: Stacked,
    index: Int[AnyArray, " _"],
    input_ids: Int[AnyArray, "B T"],
    attention_mask: Bool[AnyArray, "B T"] | Bool[AnyArray, "B T S"],
    *,
    reparametrize: Reparametrize | None = None,
    position_ids: Int[AnyArray, "B T"] | None = None,
    prefix: KeyValues | None = None,
    decoder_input_ids: Int[AnyArray, "B U"] | None = None,
    decoder_attention_mask: Bool[AnyArray, "B U"] | Bool[AnyArray, "B U U"] | None = None,
    decoder_position_ids: Int[AnyArray, "B U"] | None = None,
    dropout: float = 0.0,
    key: PRNGKey | None = None,
    unembed: bool = True,
) -> ModelOutput:
    """Runs the model with another adapter for each row.

    It can be differentiated by `stacked`; the gradient of an adapter is that of its rows. What was
    put there to change nothing has a gradient too: mask it where adapters of several methods train.

    Args:
      pretrained: the base model.
      params: as in `row_params`, like the next two.
      stacked: see there. Task heads are not read (see `fsl_jax.tasks.row_logits`).
      index: see there.
      input_ids: as in `Pretrained.apply`, like all that follows. Where an adapter has a suffix, it
        is put after the texts of its rows, and what comes out has so many columns more.
      attention_mask: see there.
      reparametrize: as in `row_params`.
      position_ids: see there.
      prefix: see there; of batch 1 or B.
      decoder_input_ids: see there.
      decoder_attention_mask: see there.
      decoder_position_ids: see there.
      dropout: see there.
      key: see there; rows draw from keys of their own.
      unembed: see there.

    Returns:
      As `Pretrained.apply`.

    Raises:
      InputError: as `row_params`, or `index` is for another number of rows, or positions are given
        and an adapter has a suffix.
    """
    rows = row_params(pretrained, params, stacked, index, reparametrize=reparametrize)
    require_rows(rows, len(input_ids))
    if SUFFIX in rows.own and position_ids is not None:
        raise InputError("an adapter has a suffix, whose positions follow the text's: give none")
    given = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "position_ids": position_ids,
        "decoder_input_ids": decoder_input_ids,
        "decoder_attention_mask": decoder_attention_mask,
        "decoder_position_ids": decoder_position_ids,
    }
    keys = None if key is None else jax.random.split(key, len(input_ids))
    shared = prefix if prefix is not None and prefix.mask.shape[0] == 1 else None

    def of_row(tree: Params, one: dict[str, Any], before: KeyValues | None, keys: Any) -> Any:
        whole = append_suffix(tree, one["input_ids"], one["attention_mask"])
        one = one | dict(zip(("input_ids", "attention_mask"), whole, strict=True))
        before = shared if before is None else before
        key = None if keys is None else keys[0]
        return pretrained.apply(
            tree, **one, prefix=before, dropout=dropout, key=key, unembed=unembed
        )

    output: ModelOutput = map_rows(of_row, rows, given, prefix if shared is None else None, keys)
    return output


def require_rows(rows: RowParams, count: int) -> None:
    """Raises an error unless a batch has as many rows as there are parameters for."""
    if len(rows.index) != count:
        raise InputError(f"index is for {len(rows.index)} rows, and there are {count}")


def _own_leaves(tree: Params, base: Params) -> Params:
    """The leaves of a tree that are not the base's, without those that the model has others of."""
    leaves = flatten(tree)
    own = {
        path: jnp.asarray(leaf)
        for path, leaf in leaves.items()
        if leaf is not base.get(path) and not (is_spent(path) and _has_spent(path, leaves))
    }
    if "head/bias" in own:
        own[HEAD_MASK] = jnp.ones_like(own["head/bias"])
    return own


def _has_spent(path: str, leaves: Params) -> bool:
    """Whether what is made of a layer's own leaves of VeRA is there."""
    parent, _, name = path.rpartition("/")
    return not name.startswith("vera_") or f"{parent}/lora_a" in leaves


def _with_inner_factors(owned: Sequence[Params]) -> list[Params]:
    """The leaves with `lora_e` of ones, at the rank of each, where another adapter has one."""
    paths = {path for own in owned for path in own if path.endswith("/lora_e")}

    def added(own: Params) -> Params:
        beside = {path: own.get(path.removesuffix("e") + "a") for path in paths - own.keys()}
        return {path: jnp.ones_like(a[..., 0, :]) for path, a in beside.items() if a is not None}

    return [own | added(own) for own in owned]


def _require_stackable(owned: Sequence[Params], base: Params) -> None:
    """Raises an error for trees that cannot be stacked."""
    found = []
    for number, own in enumerate(owned):
        if any("top_layers/" in path for path in own):
            found.append(
                f"adapter {number}: its layers are cut in two (top_layers). Merge it and load it "
                "as a model of its own, or train other layers"
            )
            continue
        found += [
            f"adapter {number}: {path} is not what the model reads. Apply the method's "
            "`reparametrize` first"
            for path in own
            if _UNREAD.fullmatch(path)
        ]
        found += [
            f"adapter {number}: {path} is {list(leaf.shape)} and the base's is "
            f"{list(base[path].shape)}. Load the adapter on this base"
            for path, leaf in own.items()
            if path in base and leaf.shape != base[path].shape
        ]
    if not any(owned):
        found.append(f"found {len(owned)} trees without a leaf that is not the base's own")
    if found:
        raise problems_error("these adapters cannot be in one batch:", found)


def _stack(path: str, leaves: Sequence[Array | None], base: Array | None) -> Array:
    """The leaf of all adapters, `[N, ...]`; what changes nothing where one has none."""
    shapes = [leaf.shape for leaf in leaves if leaf is not None]
    axes = max(map(len, shapes))
    # A scale may be one number for a layer, or one for each of its outputs.
    filled = [(*shape, *[1] * (axes - len(shape))) for shape in shapes]
    shape = tuple(map(max, zip(*filled, strict=True)))
    neutral = jnp.full(shape, neutral_value(path)) if base is None else base
    return jnp.stack([_fitted(path, neutral if leaf is None else leaf, shape) for leaf in leaves])


def _fitted(path: str, leaf: Array, shape: tuple[int, ...]) -> Array:
    """Repeats what outputs or layers have in common, and pads the rest with zeros."""
    axes = leaf.ndim
    common = [axis >= axes or (axis == 0 and _is_common(path, leaf)) for axis in range(len(shape))]
    apart = leaf.astype(jnp.float32).reshape(*leaf.shape, *[1] * (len(shape) - axes))
    sizes = [
        full if each else size for each, full, size in zip(common, shape, apart.shape, strict=True)
    ]
    missing = [(0, full - size) for full, size in zip(shape, sizes, strict=True)]
    return jnp.pad(jnp.broadcast_to(apart, sizes), missing)


def _is_common(path: str, leaf: Array) -> bool:
    """Whether all layers of a stack share the leaf."""
    return "layers/" in path and leaf.shape[0] == 1


def _require_readable(leaves: Params, reparametrize: Reparametrize | None) -> None:
    """Raises an error for leaves that would be passed over, or run beside what they replace."""
    found = [
        f"{path}: layers that are cut in two (top_layers) share no batch"
        for path in leaves
        if "top_layers/" in path
    ]
    if reparametrize is None:
        found += [
            f"{path} is not what the model reads: give the method's `reparametrize`"
            for path in leaves
            if _UNREAD.fullmatch(path)
        ]
    if found:
        raise problems_error("these adapters cannot be in one batch:", found)


def _require_in_range(index: Int[Array, " B"], counts: set[int]) -> None:
    """Raises an error for an adapter that is not there; numbers that are traced are not known."""
    if len(counts) != 1:
        raise InputError(f"expected leaves of one number of adapters, found {sorted(counts)}")
    (count,) = counts
    if isinstance(index, jax.core.Tracer):
        return
    wrong = sorted({int(each) for each in index if not NO_ADAPTER <= each < count})
    if wrong:
        raise InputError(
            f"there is no adapter {wrong[0]}: there are {count}, numbered from 0; -1 is for none"
        )


def _require_base(pretrained: Pretrained, params: Params) -> None:
    """Raises an error for parameters from which a row of none would not get the base's numbers."""
    base = flatten(pretrained.params).keys()
    present = {path for path, leaf in flatten(params).items() if leaf is not None}
    found = [f"missing: {path}" for path in sorted(base - present)]
    found += [
        f"not the base's, so it belongs into `stacked`: {path}" for path in sorted(present - base)
    ]
    if found:
        raise problems_error(
            f"params are not those of {pretrained.name}; give the base's, such as its `params`:",
            found,
        )
