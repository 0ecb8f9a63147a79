"""Many adapters in one batch: each row has its own adapter, or none.

See `fsl_jax.models.blocks.row_params` for how the rows are run.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from fsl_jax.adapt.methods.leaf_kinds import is_known, neutral_leaf_value
from fsl_jax.adapt.parts.soft_prompt import SUFFIX
from fsl_jax.adapt.tree import Params, flatten
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.blocks.added_leaves import unknown_leaf
from fsl_jax.models.blocks.intermediate_leaves import find_intermediate_leaf
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.blocks.row_params import NO_ADAPTER, RowParams, map_rows
from fsl_jax.models.blocks.suffix_tokens import append_suffix
from fsl_jax.models.outputs import KeyValues, ModelOutput
from fsl_jax.models.pretrained import Pretrained

AnyArray = Array | np.ndarray
Reparametrize = Callable[[Params], Params]
Stacked = Params | tuple[Params, ...]


def row_params(
    pretrained: Pretrained,
    params: Params,
    stacked: Stacked,
    index: Int[AnyArray, " B"],
    *,
    reparametrize: Reparametrize | None = None,
) -> RowParams:
    """Return the parameters of rows with different adapters, for `fsl_jax.models.generate`.

    Args:
      pretrained: the base model.
      params: its parameters, which are held once.
      stacked: leaves `[N, ...]` of N adapters, from `stack_adapters`; or the stacked leaves of a
        training's runs, `(stack.trainable, stack.frozen_leaves)`. Where one of several trees has a
        leaf, it is None in the others or absent.
      index: int32 `[B]`, the number of each row's adapter, from 0 to N - 1, or -1 for none: such a
        row gives the base model's output. Any other number is an error, or if it is traced, gives a
        row of NaN.
      reparametrize: the method's `reparametrize`, needed for leaves as they are during training.

    Returns:
      The parameters of B rows.

    Raises:
      InputError: there is no such adapter, its layers are cut in two, its leaves are of an unknown
        kind, the model does not read them and `reparametrize` is missing, or the parameters are not
        those of the base.
    """
    trees = stacked if isinstance(stacked, tuple) else (stacked,)
    leaves = {
        path: leaf for tree in trees for path, leaf in flatten(tree).items() if leaf is not None
    }
    numbers = jnp.asarray(index, jnp.int32)
    _require_readable(leaves, flatten(pretrained.params), reparametrize)
    _require_in_range(numbers, {leaf.shape[0] for leaf in leaves.values()})
    _require_base(pretrained, params)
    return RowParams(params, leaves, numbers, reparametrize, neutral_leaf_value)


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
    """Run the model with its own adapter for each row.

    The result can be differentiated with respect to `stacked`. An adapter gets the gradient of its
    rows. Where an adapter lacks a leaf, the neutral value gets a gradient too: mask it if you train
    adapters of several methods.

    Args:
      pretrained: the base model.
      params: as in `row_params`, like the next two.
      stacked: see there. Task heads are not read (see `fsl_jax.formulations.row_logits`).
      index: see there.
      input_ids: as in `Pretrained.apply`, like all following arguments. If an adapter has a suffix,
        it is put after the texts of its rows, and the output has that many more columns.
      attention_mask: see there.
      reparametrize: as in `row_params`.
      position_ids: see there.
      prefix: see there; of batch 1 or B.
      decoder_input_ids: see there.
      decoder_attention_mask: see there.
      decoder_position_ids: see there.
      dropout: see there.
      key: see there; each row draws from its own key.
      unembed: see there.

    Returns:
      As `Pretrained.apply`.

    Raises:
      InputError: as for `row_params`; or `index` has the wrong number of rows; or positions are
        given although an adapter has a suffix.
    """
    rows = row_params(pretrained, params, stacked, index, reparametrize=reparametrize)
    require_rows(rows, len(input_ids))
    if SUFFIX in rows.own and position_ids is not None:
        raise InputError("an adapter has a suffix, whose positions follow the text's: give none")
    inputs = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "position_ids": position_ids,
        "decoder_input_ids": decoder_input_ids,
        "decoder_attention_mask": decoder_attention_mask,
        "decoder_position_ids": decoder_position_ids,
    }
    return _map_model(pretrained, rows, inputs, prefix, key, dropout=dropout, unembed=unembed)


def _map_model(
    pretrained: Pretrained,
    rows: RowParams,
    inputs: Mapping[str, Any],
    prefix: KeyValues | None,
    key: PRNGKey | None,
    **options: Any,
) -> ModelOutput:
    """Run the model for each row; a prefix of batch 1 is shared by all."""
    keys = None if key is None else jax.random.split(key, len(rows.index))
    shared = prefix if prefix is not None and prefix.mask.shape[0] == 1 else None

    def of_row(tree: Params, inputs: dict[str, Any], before: KeyValues | None, keys: Any) -> Any:
        whole = append_suffix(tree, inputs["input_ids"], inputs["attention_mask"])
        inputs = inputs | dict(zip(("input_ids", "attention_mask"), whole, strict=True))
        before = shared if before is None else before
        row_key = None if keys is None else keys[0]
        return pretrained.apply(tree, **inputs, prefix=before, key=row_key, **options)

    of_rows = prefix if shared is None else None
    output: ModelOutput = map_rows(of_row, rows, inputs, of_rows, keys)
    return output


def require_rows(rows: RowParams, count: int) -> None:
    """Raise an error unless a batch has as many rows as there are parameters for."""
    if len(rows.index) != count:
        raise InputError(f"index is for {len(rows.index)} rows, and there are {count}")


def _require_readable(leaves: Params, base: Params, reparametrize: Reparametrize | None) -> None:
    """Raise an error for leaves that the model ignores, or runs beside those they replace."""
    problems = [
        f"{path}: layers that are cut in two (top_layers) share no batch"
        for path in leaves
        if "top_layers/" in path
    ]
    added = [path for path in leaves if path not in base and "top_layers/" not in path]
    if reparametrize is None:
        problems += [
            f"{path} is not what the model reads: give the method's `reparametrize`"
            for path in added
            if find_intermediate_leaf(path)
        ]
    problems += [unknown_leaf(path) for path in added if not is_known(path)]
    if problems:
        raise problems_error("these adapters cannot be in one batch:", problems)


def _require_in_range(index: Int[Array, " B"], counts: set[int]) -> None:
    """Raise an error for an adapter that does not exist; traced numbers cannot be checked."""
    if len(counts) != 1:
        raise InputError(f"expected leaves of one number of adapters, found {sorted(counts)}")
    (count,) = counts
    if isinstance(index, jax.core.Tracer):
        return
    wrong = sorted({int(number) for number in index if not NO_ADAPTER <= number < count})
    if wrong:
        raise InputError(
            f"there is no adapter {wrong[0]}: there are {count}, numbered from 0; -1 is for none"
        )


def _require_base(pretrained: Pretrained, params: Params) -> None:
    """Raise an error unless a row without an adapter would give the base model's output."""
    base = flatten(pretrained.params).keys()
    present = {path for path, leaf in flatten(params).items() if leaf is not None}
    problems = [f"missing: {path}" for path in sorted(base - present)]
    problems += [
        f"not the base's, so it belongs into `stacked`: {path}" for path in sorted(present - base)
    ]
    if problems:
        raise problems_error(
            f"params are not those of {pretrained.name}; give the base's, such as its `params`:",
            problems,
        )
