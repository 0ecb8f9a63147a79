"""Class logits of rows that have different adapters, by the task head of each."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from fsl_jax.adapt.batched import HEAD_MASK, Stacked, require_rows, row_params
from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.blocks.after_tokens import suffix_length, without_suffix
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.blocks.row_params import NO_ADAPTER, RowParams, map_rows
from fsl_jax.tasks.formulation import Batch, Formulation
from fsl_jax.tasks.head import HeadFormulation


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
    """Computes a formulation's class logits with another adapter for each row.

    It can be differentiated by `stacked`; the gradient of an adapter is that of its rows.

    Args:
      formulation: how the rows are read and pooled. The classes are those of the adapters' heads,
        whatever its own labels are; a template has the same label words for all rows.
      params: the base's parameters, as in `fsl_jax.adapt.row_params`, like the next two.
      stacked: see there. Adapters of the formulation `head` have one each.
      index: see there. A row of none (-1) has no head: with the formulation `head` it is an error,
        or where it is traced a row of NaN, as is a row of an adapter without a head.
      batch: tokens of B texts.
      reparametrize: see there.
      dropout: rate inside the model.
      key: a threefry key, needed where the rate is above 0; rows draw from keys of their own.

    Returns:
      float32 logits `[B, C]`, C being the most classes of any adapter; -inf for a class that the
      adapter of a row does not have.

    Raises:
      InputError: rows have no head, all of which are named, or as `row_params`.
    """
    rows = row_params(formulation.pretrained, params, stacked, index, reparametrize=reparametrize)
    require_rows(rows, len(batch["input_ids"]))
    by_head = isinstance(formulation, HeadFormulation)
    if by_head:
        _require_heads(rows)
    keys = None if key is None else jax.random.split(key, len(rows.index))

    def of_row(tree: Params, one: Batch, number: Array, keys: Any) -> Array:
        def logits_of(tree: Params) -> Array:
            own_key = None if keys is None else keys[0]
            return formulation.logits(tree, one, dropout=dropout, key=own_key)

        logits = logits_of(tree)
        if suffix_length(tree):
            # Where the suffix of a row is all padding, there is nothing of it to pool.
            has_suffix = jnp.any(tree["embeddings"]["word"]["suffix_mask"] > 0)
            logits = jnp.where(has_suffix, logits, logits_of(without_suffix(tree)))
        return _with_own_classes(logits, tree["head"], number) if by_head else logits

    logits: Array = map_rows(of_row, rows, batch, rows.index, keys)
    return logits


def _with_own_classes(
    logits: Float[Array, "1 C"], head: Params, number: Int[Array, "1"]
) -> Float[Array, "1 C"]:
    """The logits with -inf for padded classes, and NaN where there is no head."""
    there = head["mask"] > 0 if "mask" in head else jnp.ones(logits.shape[1], bool)
    has_head = jnp.any(there) & (number > NO_ADAPTER)
    own = jnp.where(there[None], logits, -jnp.inf)
    return jnp.where(has_head[:, None], own, jnp.nan)


def _require_heads(rows: RowParams) -> None:
    """Raises an error for rows without a head; what is traced is not known."""
    if "head/kernel" not in rows.own:
        raise InputError(
            "none of these adapters has a task head; stack those that were trained by the "
            "formulation head, or ask by a template"
        )
    if isinstance(rows.index, jax.core.Tracer):
        return
    numbers, mask = np.asarray(rows.index), rows.own.get(HEAD_MASK)
    found = [f"row {row} has no adapter" for row in np.flatnonzero(numbers == NO_ADAPTER)]
    if mask is not None and not isinstance(mask, jax.core.Tracer):
        lacking = np.flatnonzero(~np.asarray(mask).any(axis=1))
        found += [
            f"row {row}: adapter {numbers[row]} has none"
            for row in np.flatnonzero(np.isin(numbers, lacking))
        ]
    if found:
        raise problems_error(
            "there is no task head for these rows; leave them out of the batch:", found
        )
