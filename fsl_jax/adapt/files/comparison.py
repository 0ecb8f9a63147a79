"""Compare an exported model with the original."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from etils import epath
from jaxtyping import Bool, Int

from fsl_jax.adapt.tree import Params, flatten
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.blocks.head_kinds import SEQUENCE_CLASSIFICATION
from fsl_jax.models.pretrained import Pretrained

TEXTS = (
    "The committee has postponed its decision until next week.",
    "What a wonderful film!",
    "Prices of wheat and oil fell by 3.5% on Tuesday, and shares rose.",
)
"""The texts that both models read when they are compared."""

TOLERANCE = 1e-4
"""The largest difference that is allowed, as a share of the largest number.

Merging rounds each weight to float32. Most models then differ by less than 1e-5, but a T5 does not
scale its attention and amplifies such a difference: a tiny mT5 differs by 1.0e-5.
"""


def outputs_on(
    model: Pretrained, params: Params, tokenizing: Pretrained, texts: Sequence[str]
) -> np.ndarray:
    """Return the logits of a model for some texts, or its hidden states if it has no logits.

    Args:
      model: the model.
      params: its parameters.
      tokenizing: the model whose tokenizer is used.
      texts: the texts.

    Returns:
      float32 `[tokens, V, C or D]`, without padding; of an encoder-decoder `[texts, 1, V]`, and
      `[texts, C]` of a head that classifies texts.
    """
    ids, mask = tokens_of(tokenizing, texts)
    options: dict[str, Any] = {}
    config: Any = model.config
    classifies = model.head == SEQUENCE_CLASSIFICATION
    if config.is_encoder_decoder and model.is_language_model:
        start = np.full((len(ids), 1), config.decoder_start_token, np.int32)
        options["decoder_input_ids"] = start
    output = jax.jit(lambda params: model.apply(params, ids, mask, **options))(params)
    numbers = output.hidden if output.logits is None else output.logits
    array = np.asarray(numbers, np.float32)
    # The outputs at padding have no meaning.
    return array if options or classifies else array[mask]


def tokens_of(
    tokenizing: Pretrained, texts: Sequence[str]
) -> tuple[Int[np.ndarray, "B T"], Bool[np.ndarray, "B T"]]:
    """Return the token ids of texts, padded on the right, and the mask of real tokens."""
    tokens = [tokenizing.tokenizer(text)["input_ids"] for text in texts]
    mask = np.arange(max(map(len, tokens)))[None] < np.array([[len(each)] for each in tokens])
    ids = np.zeros(mask.shape, np.int32)
    ids[mask] = np.concatenate(tokens)
    return ids, mask


def difference_of(numbers: np.ndarray, expected: np.ndarray, output: epath.Path) -> float:
    """Return the largest difference relative to the largest value, or raise an error."""
    difference = float(np.abs(numbers - expected).max() / np.abs(expected).max())
    if not difference < TOLERANCE:
        raise InputError(
            f"{output}: what was written computed other numbers when it was read again: they "
            f"differ by {difference:.1e} of the largest, and {TOLERANCE:.0e} is allowed. It "
            "was removed. Give the base model in float32."
        )
    return difference


def require_finite(numbers: np.ndarray, params: Params, directory: epath.PathLike) -> None:
    """Raise an error if a model's outputs are not finite.

    Args:
      numbers: the outputs.
      params: the parameters of the model with its adapter.
      directory: the adapter, for the error.

    Raises:
      InputError: some are not finite; the error names the leaves with such values.
    """
    if np.isfinite(numbers).all():
        return
    lost = [
        path
        for path, leaf in flatten(params).items()
        if not np.isfinite(np.asarray(leaf, np.float32)).all()
    ]
    raise problems_error(
        f"{directory}: the model computes numbers that are not finite with this adapter, so its "
        "training has diverged or its files are damaged. Such numbers are in:",
        lost or ["none of its leaves: they are too large"],
    )
