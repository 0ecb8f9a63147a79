"""Read a text before its suffix, which is a soft prompt after the text.

In a decoder a text does not attend to tokens after it. So the text is read first, and the suffix
attends to its keys and values. They are computed once for all runs that differ only in the suffix,
and can be cached if no trainable leaf changes them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.blocks.suffix_tokens import (
    append_suffix,
    suffix_length,
    suffix_tokens,
    without_suffix,
)
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.tasks.formulation import Batch

KEYS, VALUES, SEEN = "keys", "values", "seen"

_TEXT = 2**16
"""The number to fold into the key for the text's dropout; larger than those of all layers."""


class ModelInputs(NamedTuple):
    """The tokens that a model reads, and the keys and values of the tokens before them.

    Attributes:
      input_ids: token ids `[B, T]`, or `[B, P]` of a suffix.
      attention_mask: True where a token is real, of the same shape.
      prefix: keys and values of the tokens before them.
    """

    input_ids: Int[Array, "B T"]
    attention_mask: Bool[Array, "B T"]
    prefix: KeyValues | None


def model_inputs(
    pretrained: Pretrained,
    params: Params,
    batch: Batch,
    prefix: KeyValues | None = None,
    *,
    dropout: float = 0.0,
    key: PRNGKey | None = None,
) -> ModelInputs:
    """Return the inputs of a model for a batch.

    Without a suffix these are the texts. With a suffix the texts are read here, and the inputs are
    the suffix, with the keys and values of the texts as its prefix.

    Args:
      pretrained: the model.
      params: the parameters of the model.
      batch: `input_ids` and `attention_mask` `[B, T]`, and perhaps the result of `text_states`.
      prefix: keys and values of the tokens before every text. If they are given, nothing is read
        here, and the inputs are the texts with the suffix appended.
      dropout: the dropout rate inside the model.
      key: a threefry key, needed if the rate is above 0.

    Returns:
      The inputs.

    Raises:
      InputError: there is a suffix, but the model is not a decoder.
    """
    ids, mask = batch["input_ids"], batch["attention_mask"]
    if not suffix_length(params):
        return ModelInputs(ids, mask, prefix)
    _require_decoder(pretrained)
    if prefix is not None:
        return ModelInputs(*append_suffix(params, ids, mask), prefix)
    if KEYS in batch:
        keys, values = (jnp.moveaxis(batch[name], 1, 0) for name in (KEYS, VALUES))
        text = KeyValues(keys, values, batch[SEEN])
    else:
        text = _read(pretrained, params, batch, dropout, key)
    return ModelInputs(*suffix_tokens(params, len(ids)), text)


def text_states(pretrained: Pretrained, params: Params, batch: Batch) -> Batch:
    """Compute the keys and values of texts, with the examples on the first axis as in a batch.

    Args:
      pretrained: a decoder.
      params: the parameters of the decoder, with a suffix or without.
      batch: `input_ids` and `attention_mask` `[B, T]`.

    Returns:
      `keys` and `values`, `[B, L, T, H_kv, Dh]`, and `seen`, bool `[B, T]`, which is True where a
      token is real.

    Raises:
      InputError: the model is not a decoder.
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
    text_key = None if key is None else jax.random.fold_in(key, _TEXT)
    ids, mask = batch["input_ids"], batch["attention_mask"]
    # Without the suffix, so that runs that differ only in the suffix share the result.
    params = without_suffix(params)
    output = pretrained.apply(params, ids, mask, dropout=dropout, key=text_key, unembed=False)
    return output.key_values


def _require_decoder(pretrained: Pretrained) -> None:
    if not pretrained.config.is_decoder:
        raise InputError(
            f"{pretrained.name} reads texts with an encoder ({pretrained.config.family}), whose "
            "tokens see what comes after them: put the soft prompt before them, which is "
            "prompt_tuning without position='suffix', or take a decoder such as smollm2-135m"
        )
