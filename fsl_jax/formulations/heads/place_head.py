"""The base class of formulations whose linear layer reads hidden states at places of a text."""

from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from fsl_jax.adapt.tree import Params
from fsl_jax.buckets import bucket_length
from fsl_jax.errors import InputError
from fsl_jax.formulations.heads.text_head import TextHead
from fsl_jax.formulations.words import NO_PLACE
from fsl_jax.models.blocks.prompt_positions import prompt_length
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.packing.batch import Batch

PLACES = "places"
"""The feature: the places to read in each segment, int32 `[S, P]`, without a soft prompt."""

_FEW = 4096
"""Rows of more places than this are not made longer than they must be."""


class PlaceHead(TextHead):
    """The base class of formulations with a linear layer on the hidden states of single tokens.

    Segments have the feature `PLACES`.
    """

    name: ClassVar[str]

    def representation(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "S ..."]:
        """Compute the hidden states at places `[S, P, D]` in float32; any for `NO_PLACE`."""
        if suffix_length(params):
            raise InputError(
                f"{self.name} reads hidden states where they stand in the text, and a soft prompt "
                "after the text changes nothing there: use prompt_tuning without position='suffix'"
            )
        hidden = self.hidden(params, batch, {"dropout": dropout, "key": key})
        in_text = jnp.maximum(batch.features[PLACES], 0)
        places = batch.starts[:, None] + prompt_length(params) + in_text
        flat = hidden.reshape(-1, hidden.shape[-1]).astype(jnp.float32)
        # A segment without tokens has no place of its own.
        return flat[jnp.minimum(places, len(flat) - 1)]


def rows_of(values: Sequence[Sequence[int]]) -> Int32[np.ndarray, "S P"]:
    """Return rows of one length, filled up with `NO_PLACE`.

    Args:
      values: the values of each row.

    Returns:
      The rows. They have one of a few lengths, so that few programs are compiled.
    """
    longest = max(map(len, values), default=1)
    rows = np.full((len(values), bucket_length(longest, max(longest, _FEW))), NO_PLACE, np.int32)
    for row, each in zip(rows, values, strict=True):
        row[: len(each)] = each
    return rows
