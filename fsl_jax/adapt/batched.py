"""Many adapters in one batch: every row of it has its own, or none.

A row is run as if it were alone, and all at once under `jax.vmap`, where the base is not mapped: of
each frozen weight there is one product for all rows, and adapters become batched products.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from fsl_jax.adapt.merging import is_spent
from fsl_jax.adapt.soft_prompt import SUFFIX
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError, faults
from fsl_jax.models.after_tokens import append_suffix
from fsl_jax.models.layers import PRNGKey
from fsl_jax.models.outputs import KeyValues, ModelOutput
from fsl_jax.models.pretrained import Pretrained

NO_ADAPTER = -1
"""The index of a row that is the base model's."""

AnyArray = Array | np.ndarray


def stack_adapters(trees: Sequence[Params], pretrained: Pretrained) -> Params:
    """Stacks what adapters have of their own, for `apply_rows`.

    They may be of different methods and sizes. What is smaller is padded with zeros, and an adapter
    that lacks what another has gets there what changes nothing.

    Args:
      trees: N whole trees on the same base, as `load_adapter`, `load_peft` or a method's
        `reparametrize` gives them.
      pretrained: the base model. A leaf that is the base's own object is nobody's own.

    Returns:
      A nested dict of leaves `[N, ...]`: what is added to the base, and what is trained of it. Task
      heads are not among them.

    Raises:
      InputError: adapters do different things to the same layer, such as LoRA and DoRA, or have the
        layers cut in two.
    """
    base = flatten(pretrained.params)
    owned = [_own_leaves(tree, base) for tree in trees]
    paths = list(dict.fromkeys(path for own in owned for path in own))
    _require_alike(owned, paths)
    stacked = {}
    for path in paths:
        present = [own[path] for own in owned if path in own]
        shape = tuple(max(sizes) for sizes in zip(*(leaf.shape for leaf in present), strict=True))
        neutral = base.get(path, jnp.full(shape, _neutral(path), jnp.float32))
        stacked[path] = jnp.stack([_padded(own.get(path, neutral), shape) for own in owned])
    return unflatten(stacked)


def apply_rows(
    pretrained: Pretrained,
    params: Params,
    stacked: Params,
    index: Int[AnyArray, "B"],
    input_ids: Int[AnyArray, "B T"],
    attention_mask: Bool[AnyArray, "B T"] | Bool[AnyArray, "B T S"],
    *,
    reparametrize: Callable[[Params], Params] = lambda tree: tree,
    position_ids: Int[AnyArray, "B T"] | None = None,
    prefix: KeyValues | None = None,
    decoder_input_ids: Int[AnyArray, "B U"] | None = None,
    decoder_attention_mask: Bool[AnyArray, "B U"] | Bool[AnyArray, "B U U"] | None = None,
    dropout: float = 0.0,
    key: PRNGKey | None = None,
    unembed: bool = True,
) -> ModelOutput:
    """Runs the model with another adapter for each row.

    It can be differentiated by `stacked`; the gradient of an adapter is that of its rows.

    Args:
      pretrained: the base model.
      params: its parameters, which are held once.
      stacked: leaves `[N, ...]` of N adapters, from `stack_adapters` or the trained half of a
        training's stack; a leaf may be None.
      index: int32 `[B]`, which adapter a row has, from 0 to N - 1, or -1 for none: such a row gets
        the numbers of the base. Another number is an error, or where it is traced gives a row of
        NaN.
      input_ids: as in `Pretrained.apply`, like all that follows. Where an adapter has a suffix, it
        is put after the texts of its rows, and what comes out has so many columns more.
      attention_mask: see there.
      reparametrize: a method's, for leaves that are still as they are trained.
      position_ids: see there.
      prefix: see there; of batch 1 or B.
      decoder_input_ids: see there.
      decoder_attention_mask: see there.
      dropout: see there.
      key: see there; rows draw from keys of their own.
      unembed: see there.

    Returns:
      As `Pretrained.apply`.
    """
    chosen = _of_rows(stacked, params, jnp.asarray(index, jnp.int32))
    if SUFFIX in chosen and position_ids is not None:
        raise InputError("an adapter has a suffix, whose positions follow the text's: give none")
    rows = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "position_ids": position_ids,
        "decoder_input_ids": decoder_input_ids,
        "decoder_attention_mask": decoder_attention_mask,
    }
    given = {name: jnp.asarray(array) for name, array in rows.items() if array is not None}
    keys = None if key is None else jax.random.split(key, len(given["input_ids"]))
    shared = prefix if prefix is not None and prefix.mask.shape[0] == 1 else None
    own_prefix = None if prefix is None or shared is not None else _rows_first(prefix)

    def of_row(own: Params, arrays: dict[str, Array], before: Any, key: Any) -> Any:
        tree = reparametrize(unflatten(flatten(params) | own))
        one = {name: array[None] for name, array in arrays.items()}
        whole = append_suffix(tree, one["input_ids"], one["attention_mask"])
        one |= dict(zip(("input_ids", "attention_mask"), whole, strict=True))
        before = shared if before is None else _one_row(before)
        output = pretrained.apply(
            tree, **one, prefix=before, dropout=dropout, key=key, unembed=unembed
        )
        return dataclasses.replace(output, key_values=None), output.key_values

    output, key_values = jax.vmap(of_row)(chosen, given, own_prefix, keys)
    output = jax.tree.map(lambda array: array[:, 0], output)
    return dataclasses.replace(
        output, key_values=None if key_values is None else _layers_first(key_values)
    )


def _own_leaves(tree: Params, base: Params) -> Params:
    """The leaves of a tree that are not the base's, without those that the model does not read."""
    if any("top_layers/" in path for path in flatten(tree)):
        raise InputError(
            "layers that are cut in two cannot be in one batch with others: merge this adapter "
            "and load it as a model of its own, or train other layers"
        )
    return {
        path: jnp.asarray(leaf)
        for path, leaf in flatten(tree).items()
        if leaf is not base.get(path) and not path.startswith("head/") and not is_spent(path)
    }


def _require_alike(owned: Sequence[Params], paths: Sequence[str]) -> None:
    """Raises an error where adapters have other leaves, or leaves of other forms, at one hook."""
    found = []
    for hook in dict.fromkeys(map(_hook, paths)):
        leaves = [path for path in paths if _hook(path) == hook]
        forms = {
            tuple((path, _form(path, own[path])) if path in own else None for path in leaves)
            for own in owned
            if any(path in own for path in leaves)
        }
        if len(forms) > 1:
            found.append(f"{hook[0]}: {', '.join(path.rpartition('/')[2] for path in leaves)}")
    if found:
        raise faults(
            "these adapters do different things to the same layers, so they cannot share a batch. "
            "Give each kind a batch of its own. The layers and the leaves found there:",
            found,
        )


def _hook(path: str) -> tuple[str, str]:
    """The layer, and which of its hooks a leaf belongs to, whose leaves only work together."""
    parent, _, name = path.rpartition("/")
    return parent, name if name.startswith("ia3") else name.partition("_")[0]


def _form(path: str, leaf: Array) -> tuple[int, int]:
    """What leaves of different sizes have in common: their axes, and how many layers there are."""
    return leaf.ndim, leaf.shape[0] if "layers/" in path else 0


def _neutral(path: str) -> float:
    """What a leaf that is added to the base has where it is to change nothing."""
    return 1.0 if path.rpartition("/")[2].startswith("ia3") else 0.0


def _padded(leaf: Array, shape: tuple[int, ...]) -> Array:
    missing = [(0, full - size) for full, size in zip(shape, leaf.shape, strict=True)]
    return jnp.pad(leaf.astype(jnp.float32), missing)


def _of_rows(stacked: Params, params: Params, index: Int[Array, "B"]) -> Params:
    """The leaves of each row's adapter by path, `[B, ...]`; those of the base for a row of none."""
    base = flatten(params)
    leaves = {path: leaf for path, leaf in flatten(stacked).items() if leaf is not None}
    _require_in_range(index, {leaf.shape[0] for leaf in leaves.values()})
    chosen = {}
    for path, leaf in leaves.items():
        neutral = base.get(path, jnp.full(leaf.shape[1:], _neutral(path), leaf.dtype))
        is_none = (index == NO_ADAPTER).reshape(-1, *[1] * (leaf.ndim - 1))
        # A number that only the compiled program sees cannot be refused: it gives no numbers.
        place = jnp.where(index < NO_ADAPTER, leaf.shape[0], jnp.maximum(index, 0))
        picked = leaf.at[place].get(mode="fill", fill_value=jnp.nan)
        chosen[path] = jnp.where(is_none, neutral[None].astype(leaf.dtype), picked)
    return chosen


def _require_in_range(index: Int[Array, "B"], counts: set[int]) -> None:
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


def _rows_first(prefix: KeyValues) -> KeyValues:
    keys, values = (jnp.moveaxis(each, 1, 0) for each in (prefix.keys, prefix.values))
    return dataclasses.replace(prefix, keys=keys, values=values)


def _one_row(prefix: KeyValues) -> KeyValues:
    added = jax.tree.map(lambda array: array[None], prefix)
    return dataclasses.replace(added, keys=prefix.keys[:, None], values=prefix.values[:, None])


def _layers_first(key_values: KeyValues) -> KeyValues:
    """Keys and values of rows, `[B, L, 1, ...]`, as those of a batch, `[L, B, ...]`."""
    keys, values = (
        jnp.moveaxis(each[:, :, 0], 0, 1) for each in (key_values.keys, key_values.values)
    )
    others = dataclasses.replace(key_values, keys=None, values=None)
    rest = jax.tree.map(lambda array: array[:, 0], others)
    return dataclasses.replace(rest, keys=keys, values=values)
