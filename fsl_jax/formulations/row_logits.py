"""Compute class logits of rows with different adapters, each with its own task head."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fsl_jax.adapt.row_adapters import Stacked, require_rows, row_params
from fsl_jax.adapt.stacking import HEAD_MASK
from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError, problems_error
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.blocks.row_params import NO_ADAPTER, RowParams, map_rows
from fsl_jax.packing.batch import Batch


def row_segments(
    formulation: Formulation,
    params: Params,
    stacked: Stacked,
    tokens: Sequence[Sequence[int]],
    *,
    reparametrize: Callable[[Params], Params] | None = None,
) -> list[list[int]]:
    """Return all tokens that rows with different adapters read, for `unpacked_batch`.

    Args:
      formulation: reads the rows.
      params: as in `row_logits`.
      stacked: as in `row_logits`; every row has the tokens of the longest soft prompt.
      tokens: the token ids of each example, from `formulation.tokenize`.
      reparametrize: as in `row_logits`.

    Returns:
      The token ids, as `formulation.segments` returns them.
    """
    index = np.zeros(len(tokens), np.int32)
    rows = row_params(formulation.pretrained, params, stacked, index, reparametrize=reparametrize)
    return formulation.segments(rows.shapes_of_one(), tokens)


def row_logits(
    formulation: Formulation,
    params: Params,
    stacked: Stacked,
    index: Int[Array, " B"] | Int[np.ndarray, " B"],
    batch: Batch,
    *,
    reparametrize: Callable[[Params], Params] | None = None,
    dropout: float = 0.0,
    key: PRNGKey | None = None,
) -> Float[Array, "B C"]:
    """Compute class logits with a different adapter for each row, differentiable in `stacked`.

    Args:
      formulation: reads and pools the rows. The classes are those of the adapters' heads, not the
        formulation's labels; a template has the same label words for all rows.
      params: the base's parameters, as for `fsl_jax.adapt.row_params`.
      stacked: the stacked adapters, as there. For the formulation `head` each has a task head.
      index: the adapter of each row, as there. A row without an adapter (-1), or whose adapter has
        no head, is an error for the formulation `head`; if `index` is traced, its logits are NaN.
      batch: B rows of one example each, from `unpacked_batch(row_segments(...))`.
      reparametrize: that of a method, as there.
      dropout: the dropout rate inside the model.
      key: a threefry key, needed if the rate is above 0; each row draws from its own key.

    Returns:
      float32 logits `[B, C]`, where C is the largest number of classes of any adapter; -inf for a
      class that the adapter of a row does not have.

    Raises:
      InputError: rows have no head (the error lists them all), a row holds several examples, or as
        in `row_params`.
    """
    rows = row_params(formulation.pretrained, params, stacked, index, reparametrize=reparametrize)
    require_rows(rows, len(batch.starts))
    if isinstance(formulation, HeadFormulation):
        _require_heads(rows)
    keys = None if key is None else jax.random.split(key, len(rows.index))

    def of_row(tree: Params, one: Batch, number: Array, keys: Any) -> Array:
        row_key = None if keys is None else keys[0]
        logits = formulation.outputs(tree, one, dropout=dropout, key=row_key)
        if isinstance(formulation, HeadFormulation):
            return _with_own_classes(logits, tree["head"], number)
        return logits

    logits: Array = map_rows(of_row, rows, _each_alone(batch), rows.index, keys)
    return logits


def _each_alone(batch: Batch) -> Batch:
    """Return the rows with places and segments counted as if each were a batch of its own."""
    rows, length = batch.segment_ids.shape
    alone = rows == len(batch.starts) and batch.slots == 1
    if alone and not isinstance(batch.starts, jax.core.Tracer):
        alone = bool(np.all(np.asarray(batch.starts) // length == np.arange(rows)))
    if not alone:
        raise InputError(
            "rows with different adapters hold one example each, in the order of the rows: make "
            "the batch with `unpacked_batch`"
        )
    own_segment = (batch.segment_ids > 0).astype(jnp.int32)
    return dataclasses.replace(batch, segment_ids=own_segment, starts=batch.starts % length)


def _with_own_classes(
    logits: Float[Array, "1 C"], head: Params, number: Int[Array, "1"]
) -> Float[Array, "1 C"]:
    """Set the logits of padded classes to -inf, and all logits of a row without a head to NaN."""
    is_class = head["mask"] > 0 if "mask" in head else jnp.ones(logits.shape[1], bool)
    has_head = jnp.any(is_class) & (number > NO_ADAPTER)
    masked = jnp.where(is_class[None], logits, -jnp.inf)
    return jnp.where(has_head[:, None], masked, jnp.nan)


def _require_heads(rows: RowParams) -> None:
    """Raise an error if rows have no head; traced indices cannot be checked."""
    if "head/kernel" not in rows.own:
        raise InputError(
            "none of these adapters has a task head; stack those that were trained by the "
            "formulation head, or use a template"
        )
    if isinstance(rows.index, jax.core.Tracer):
        return
    numbers, mask = np.asarray(rows.index), rows.own.get(HEAD_MASK)
    problems = [f"row {row} has no adapter" for row in np.flatnonzero(numbers == NO_ADAPTER)]
    if mask is not None and not isinstance(mask, jax.core.Tracer):
        lacking = np.flatnonzero(~np.asarray(mask).any(axis=1))
        problems += [
            f"row {row}: adapter {numbers[row]} has none"
            for row in np.flatnonzero(np.isin(numbers, lacking))
        ]
    if problems:
        raise problems_error(
            "there is no task head for these rows; leave them out of the batch:", problems
        )
