"""Batches in which each row has its own parameters beside the shared ones.

All rows run at once under `jax.vmap`, each as if it were alone. The shared parameters are not
mapped, so that each frozen weight takes one matrix product for all rows.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Int

from fsl_jax.models.blocks.added_leaves import neutral_value
from fsl_jax.models.outputs import KeyValues, Params

NO_ADAPTER = -1
"""The index of a row that has only the shared parameters."""


@struct.dataclass
class RowParams:
    """The parameters of the rows of a batch.

    Attributes:
      shared: the parameter tree that all rows have.
      own: leaves `[N, ...]` by path, which are added to the shared tree or replace its leaves.
      index: int32 `[B]`, the number of each row's leaves, from 0 to N - 1, or -1 for none. Any
        other number gives a row of NaN. None means that row i has leaves i, as after `take`.
      reparametrize: computes the leaves that the model reads from the tree of a row; None if the
        model reads the tree as it is.
      neutral: returns the value with which the added leaf at a path changes nothing. Rows without
        leaves of their own get this value. The default knows the leaves that the model reads.
    """

    shared: Any
    own: Any
    index: Any = None
    reparametrize: Callable[[Params], Params] | None = struct.field(pytree_node=False, default=None)
    neutral: Callable[[str], float] = struct.field(pytree_node=False, default=neutral_value)

    def take(self, rows: Any) -> "RowParams":
        """Return the parameters of other rows: row b of the result is row `rows[b]` of this one."""
        return dataclasses.replace(self, own=self.chosen(self.index[rows]), index=None)

    def chosen(self, index: Int[Array, " B"]) -> Params:
        """Return the leaves of each row by path, `[B, ...]`; index -1 gives the shared ones."""
        base, leaves = _present(self.shared), {}
        for path, leaf in self.own.items():
            shared = base.get(path)
            if shared is None:
                shared = jnp.full(leaf.shape[1:], self.neutral(path), leaf.dtype)
            leaves[path] = _rows_of(leaf, shared, index)
        return leaves

    def shapes_of_one(self) -> Params:
        """Return the tree of one row, with shapes as leaves."""
        first = {
            path: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
            for path, leaf in self.own.items()
        }
        return jax.eval_shape(self.with_own, first)

    def with_own(self, own: Params) -> Params:
        """Return the shared tree with these leaves, given by path, as the model reads it."""
        tree = unflatten_dict(_present(self.shared) | own, sep="/")
        return self.reparametrize(tree) if self.reparametrize else tree


AnyParams = Params | RowParams


def one_tree(params: AnyParams) -> Params:
    """Return a tree from which shapes can be read: the parameters, or those of one row."""
    return params.shapes_of_one() if isinstance(params, RowParams) else params


def map_rows(function: Callable[..., Any], params: RowParams, *arguments: Any) -> Any:
    """Call a function of whole parameters for each row.

    Args:
      function: `function(tree, *arguments)`, for a batch that has one tree.
      params: the parameters of B rows.
      *arguments: trees of arrays `[B * C, ...]` and of `KeyValues`; each C consecutive rows have
        the same parameters.

    Returns:
      The function's results for all rows, joined on the batch axes.
    """
    own = params.own if params.index is None else params.chosen(params.index)
    rows = next(iter(own.values())).shape[0]

    def split(array: Any, axis: int) -> Array:
        whole = jnp.asarray(array)
        before, after = whole.shape[:axis], whole.shape[axis + 1 :]
        by_row = whole.reshape(*before, rows, whole.shape[axis] // rows, *after)
        return jnp.moveaxis(by_row, axis, 0) if axis else by_row

    def join(array: Array, axis: int) -> Array:
        by_row = jnp.moveaxis(array, 0, axis) if axis else array
        before, (_, size, *after) = by_row.shape[:axis], by_row.shape[axis:]
        return by_row.reshape(*before, rows * size, *after)

    def of_row(own: Params, arguments: Any) -> Any:
        return function(params.with_own(own), *arguments)

    return _by_batch_axis(join, jax.vmap(of_row)(own, _by_batch_axis(split, arguments)))


def _present(params: Params) -> Params:
    leaves = flatten_dict(params, sep="/")
    return {path: leaf for path, leaf in leaves.items() if leaf is not None}


def _rows_of(leaf: Array, shared: Array, index: Int[Array, " B"]) -> Array:
    """Return the rows of a leaf `[N, ...]` by number; the number -1 gives the shared leaf."""
    is_none = (index == NO_ADAPTER).reshape(-1, *[1] * (leaf.ndim - 1))
    # A traced number cannot raise an error, so an invalid one gives NaN.
    position = jnp.where(index < NO_ADAPTER, leaf.shape[0], jnp.maximum(index, 0))
    picked = leaf.at[position].get(mode="fill", fill_value=jnp.nan)
    return jnp.where(is_none, shared[None].astype(leaf.dtype), picked)


def _by_batch_axis(change: Callable[[Any, int], Array], tree: Any) -> Any:
    """Apply a function to each array and its batch axis: 1 for keys and values, else 0."""

    def of_node(node: Any) -> Any:
        if not isinstance(node, KeyValues):
            return change(node, 0)
        keys, values = (change(each, 1) for each in (node.keys, node.values))
        by_row = (node.mask, node.positions, node.segment_ids)
        return KeyValues(keys, values, *jax.tree.map(lambda each: change(each, 0), by_row))

    return jax.tree.map(of_node, tree, is_leaf=lambda node: isinstance(node, KeyValues))
