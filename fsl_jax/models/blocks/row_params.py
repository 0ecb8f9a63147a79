"""Rows of a batch with parameters of their own beside those that all of them share.

A row is run as if it were alone, and all at once under `jax.vmap`, where what is shared is not
mapped: of each frozen weight there is one product for all rows.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Int

from fsl_jax.models.outputs import KeyValues, Params

NO_ADAPTER = -1
"""The index of a row that has the shared parameters alone."""


@struct.dataclass
class RowParams:
    """The parameters of the rows of a batch.

    Attributes:
      shared: the tree that all rows have.
      own: by path, leaves `[N, ...]` that are added to it, or that take the place of its own.
      index: int32 `[B]`, which of the N a row has, from 0 to N - 1, or -1 for none. Another number
        gives a row of NaN. None where row i has leaf i, as `take` leaves it.
      reparametrize: makes what the model reads of the tree of a row; None where it is that already.
    """

    shared: Any
    own: Any
    index: Any = None
    reparametrize: Callable[[Params], Params] | None = struct.field(pytree_node=False, default=None)

    def take(self, rows: Any) -> "RowParams":
        """The parameters of other rows: row b of the result is row `rows[b]` of this one."""
        chosen = _chosen(self.shared, self.own, self.index[rows])
        return dataclasses.replace(self, own=chosen, index=None)

    def shapes_of_one(self) -> Params:
        """The tree of one row, whose leaves are but shapes."""
        first = {
            path: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
            for path, leaf in self.own.items()
        }
        return jax.eval_shape(self.with_own, first)

    def with_own(self, own: Params) -> Params:
        """The shared tree with leaves by path, as the model reads it."""
        tree = unflatten_dict(_present(self.shared) | own, sep="/")
        return self.reparametrize(tree) if self.reparametrize else tree


AnyParams = Params | RowParams


def one_tree(params: AnyParams) -> Params:
    """A tree from which shapes can be read: the parameters themselves, or those of one row."""
    return params.shapes_of_one() if isinstance(params, RowParams) else params


def map_rows(function: Callable[..., Any], params: RowParams, *arguments: Any) -> Any:
    """Calls a function of whole parameters for each row.

    Args:
      function: `function(tree, *arguments)` of a batch that all have one tree.
      params: of B rows.
      *arguments: trees of arrays `[B * C, ...]` and of `KeyValues`; C rows side by side have the
        same parameters.

    Returns:
      What the function gives, with the results of all rows on the axes where it has those of its
      batch.
    """
    own = params.own
    if params.index is not None:
        own = _chosen(params.shared, own, params.index)
    rows = next(iter(own.values())).shape[0]

    def split(array: Any, axis: int) -> Array:
        whole = jnp.asarray(array)
        before, after = whole.shape[:axis], whole.shape[axis + 1 :]
        apart = whole.reshape(*before, rows, whole.shape[axis] // rows, *after)
        return jnp.moveaxis(apart, axis, 0) if axis else apart

    def join(array: Array, axis: int) -> Array:
        apart = jnp.moveaxis(array, 0, axis) if axis else array
        before, (_, each, *after) = apart.shape[:axis], apart.shape[axis:]
        return apart.reshape(*before, rows * each, *after)

    def of_row(own: Params, arguments: Any) -> Any:
        return function(params.with_own(own), *arguments)

    return _by_batch_axis(join, jax.vmap(of_row)(own, _by_batch_axis(split, arguments)))


def neutral_value(path: str) -> float:
    """What a leaf that is added to a model has where it is to change nothing.

    A learned vector is masked by 0, a low-rank update of zeros adds nothing, and a norm of 0 leaves
    the lengths of a kernel's columns as they are.
    """
    name = path.rpartition("/")[2]
    return 1.0 if name in ("ia3", "ia3_in", "lora_e") else 0.0


def _present(params: Params) -> Params:
    leaves = flatten_dict(params, sep="/")
    return {path: leaf for path, leaf in leaves.items() if leaf is not None}


def _chosen(shared: Params, own: Params, index: Int[Array, " B"]) -> Params:
    """The leaves of each row by path, `[B, ...]`; the shared ones for a row of none."""
    base, chosen = _present(shared), {}
    for path, leaf in own.items():
        neutral = base.get(path, jnp.full(leaf.shape[1:], neutral_value(path), leaf.dtype))
        is_none = (index == NO_ADAPTER).reshape(-1, *[1] * (leaf.ndim - 1))
        # A number that only the compiled program sees cannot be refused: it gives no numbers.
        place = jnp.where(index < NO_ADAPTER, leaf.shape[0], jnp.maximum(index, 0))
        picked = leaf.at[place].get(mode="fill", fill_value=jnp.nan)
        chosen[path] = jnp.where(is_none, neutral[None].astype(leaf.dtype), picked)
    return chosen


def _by_batch_axis(change: Callable[[Any, int], Array], tree: Any) -> Any:
    """Changes arrays, given the axis of their batch: 1 of keys and values, 0 of all else."""

    def of_node(node: Any) -> Any:
        if not isinstance(node, KeyValues):
            return change(node, 0)
        positions = None if node.positions is None else change(node.positions, 0)
        keys, values = (change(each, 1) for each in (node.keys, node.values))
        return KeyValues(keys, values, change(node.mask, 0), positions)

    return jax.tree.map(of_node, tree, is_leaf=lambda node: isinstance(node, KeyValues))
