"""What a formulation runs a model on where a soft prompt follows the text.

A decoder's text sees nothing of what comes after it. So it is read first, and its keys and values
are what the suffix attends to: they can be kept where nothing that is trained changes them, and are
computed once for all runs that differ in the suffix alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.after_tokens import (
    append_suffix,
    suffix_length,
    suffix_tokens,
    without_suffix,
)
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.tasks.formulation import Batch

KEYS, VALUES, SEEN = "keys", "values", "seen"

_TEXT = 2**16
"""What the text's dropout folds in: above all that the layers fold in for the suffix."""


class Ahead(NamedTuple):
    """What a model has yet to read, and what it has read before.

    Attributes:
      input_ids: `[B, T]`, or `[B, P]` of a suffix.
      attention_mask: of the same shape.
      prefix: keys and values of what stands before them.
    """

    input_ids: Int[Array, "B T"]
    attention_mask: Bool[Array, "B T"]
    prefix: KeyValues | None


def read_up_to_suffix(
    pretrained: Pretrained,
    params: Params,
    batch: Batch,
    prefix: KeyValues | None = None,
    *,
    dropout: float = 0.0,
    key: PRNGKey | None = None,
) -> Ahead:
    """Reads the texts of a batch if a suffix follows them; without one, nothing is read yet.

    Args:
      pretrained: the model.
      params: its parameters.
      batch: `input_ids` and `attention_mask` `[B, T]`, perhaps with what `text_states` gave.
      prefix: keys and values of what stands before every text. A suffix is then left to be read
        together with the text.
      dropout: rate inside the model.
      key: a threefry key, needed where the rate is above 0.

    Returns:
      What is left to be read.

    Raises:
      InputError: there is a suffix, and the model is no decoder.
    """
    ids, mask = batch["input_ids"], batch["attention_mask"]
    if not suffix_length(params):
        return Ahead(ids, mask, prefix)
    _require_decoder(pretrained)
    if prefix is not None:
        return Ahead(*append_suffix(params, ids, mask), prefix)
    if KEYS in batch:
        keys, values = (jnp.moveaxis(batch[name], 1, 0) for name in (KEYS, VALUES))
        text = KeyValues(keys, values, batch[SEEN])
    else:
        text = _read(pretrained, params, batch, dropout, key)
    return Ahead(*suffix_tokens(params, len(ids)), text)


def text_states(pretrained: Pretrained, params: Params, batch: Batch) -> Batch:
    """The keys and values of texts, with the examples on the first axis as in all of a batch.

    Args:
      pretrained: a decoder.
      params: its parameters, with a suffix or without.
      batch: `input_ids` and `attention_mask` `[B, T]`.

    Returns:
      `keys` and `values`, `[B, L, T, H_kv, Dh]`, and `seen`, bool `[B, T]`, where they are real.

    Raises:
      InputError: the model is no decoder.
    """
    _require_decoder(pretrained)
    states = _read(pretrained, params, batch)
    return {
        KEYS: jnp.moveaxis(states.keys, 0, 1),
        VALUES: jnp.moveaxis(states.values, 0, 1),
        SEEN: states.mask,
    }


def _read(
    pretrained: Pretrained,
    params: Params,
    batch: Batch,
    dropout: float = 0.0,
    key: PRNGKey | None = None,
) -> KeyValues:
    own_key = None if key is None else jax.random.fold_in(key, _TEXT)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    # Runs that differ in the suffix alone share what is read without it.
    alone = without_suffix(params)
    output = pretrained.apply(alone, ids, mask, dropout=dropout, key=own_key, unembed=False)
    return output.key_values


def _require_decoder(pretrained: Pretrained) -> None:
    if not pretrained.config.is_decoder:
        raise InputError(
            f"{pretrained.name} reads texts with an encoder ({pretrained.config.family}), whose "
            "tokens see what comes after them: put the soft prompt before them, which is "
            "prompt_tuning without position='suffix', or take a decoder such as smollm2-135m"
        )
