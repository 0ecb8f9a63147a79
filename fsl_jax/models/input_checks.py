"""Checks of the inputs that users give to a model."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from fsl_jax.errors import InputError, brief, problems_error
from fsl_jax.models.blocks.head_kinds import ENCODER_HEADS, SEQUENCE_CLASSIFICATION
from fsl_jax.models.blocks.prompt_tokens import prompt_token_ids
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.models.families.registry import Config
from fsl_jax.models.outputs import Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_length(
    name: str, config: Config, length: int, before: int = 0, params: Params | None = None
) -> None:
    """Raise an error for more tokens than the model can read at once.

    Args:
      name: the model's name, for errors.
      config: the model's config.
      length: the number of tokens.
      before: the number of positions before the tokens that count as well.
      params: the parameters, if they may have a suffix, whose vectors are counted in `length`.

    Raises:
      InputError: there are too many tokens.
    """
    most = config.max_length
    if before + length <= most:
        return
    tokens = f"{length} token{'s' * (length > 1)}"
    more = f" and the {before} before them" if before else ""
    after = suffix_length(params or {})
    behind = f", which leaves room for the {after} of the suffix" if after else ""
    raise InputError(
        f"{tokens}{more} are more than {name} can read at once, which is {most}. "
        f"Truncate the text to {max(most - before - after, 0)} tokens{behind}, or use a "
        "model with longer input."
    )


def check_positions(
    name: str,
    config: Config,
    tokens: Any,
    positions: Any,
    before: int = 0,
    params: Params | None = None,
    *,
    shared: bool,
) -> None:
    """Raise an error for tokens beyond the positions of the model.

    Args:
      name: as in `check_length`.
      config: as in `check_length`.
      tokens: the token ids `[B, T]`.
      positions: their positions `[B, T]`, or None.
      before: as in `check_length`.
      params: as in `check_length`.
      shared: whether tokens may share a position, as with a mask of pairs and in packed rows. In a
        compiled program, their positions are then not known: there the caller counts them.

    Raises:
      InputError: there are such tokens.
    """
    if not shared:
        check_length(name, config, tokens.shape[1], before, params)
    elif positions is not None and not isinstance(positions, jax.core.Tracer):
        check_length(name, config, int(np.max(np.asarray(positions))) + 1, before, params)


def row_problems(
    tokenizer: "PreTrainedTokenizerBase",
    rows: int,
    texts: Iterable[str],
    tokens: Iterable[Sequence[int]],
) -> list[str]:
    """List the texts with a token that has no row in the word embedding.

    Some tokenizers have more tokens than their model, such as one for images in a model of texts.

    Args:
      tokenizer: the model's tokenizer.
      rows: the number of rows of the word embedding, `V`.
      texts: the texts.
      tokens: the token ids of each text.

    Returns:
      One line for each such text, which names its first such token.
    """
    if len(tokenizer) <= rows:
        return []
    first = {
        text: number
        for text, ids in zip(texts, tokens, strict=True)
        if (number := next((number for number in ids if number >= rows), None)) is not None
    }
    return [
        f"the text {brief(text)} has the token {tokenizer.convert_ids_to_tokens(number)!r}, whose "
        f"number is {number}, and the model has {rows} rows of tokens"
        for text, number in first.items()
    ]


def require_rows(
    name: str,
    tokenizer: "PreTrainedTokenizerBase",
    rows: int,
    texts: Iterable[str],
    tokens: Iterable[Sequence[int]],
) -> None:
    """Raise an error for texts with a token that has no row in the word embedding.

    Args:
      name: the model's name, for errors.
      tokenizer: as in `row_problems`.
      rows: as in `row_problems`.
      texts: as in `row_problems`.
      tokens: as in `row_problems`.

    Raises:
      InputError: there are such texts; the error names the tokens.
    """
    if problems := row_problems(tokenizer, rows, texts, tokens):
        raise problems_error(
            f"{name} cannot read these texts, since its tokenizer has more tokens than the model. "
            "Leave the tokens out of the texts:",
            problems,
        )


def require_token_ids(
    name: str, config: Config, params: Params, *ids: Any, packed: bool = False
) -> None:
    """Raise an error for NumPy arrays with token ids that have no row in the word embedding.

    JAX would silently read another row. Its own arrays are not checked, since that would wait for
    the device.

    Args:
      name: the model's name, for errors.
      config: the model's config.
      params: the parameters, which may have the vectors of a suffix after the word embedding.
      ids: the arrays of token ids, or None.
      packed: whether the rows are packed, so that the vectors of a soft prompt are among the
        tokens.

    Raises:
      InputError: an id is negative or too large.
    """
    rows = config.vocab_size + suffix_length(params)
    if packed:
        rows += len(prompt_token_ids(params))
    for array in ids:
        if (
            isinstance(array, np.ndarray)
            and array.size
            and not 0 <= array.min() <= array.max() < rows
        ):
            wrong = array[(array < 0) | (array >= rows)]
            raise InputError(
                f"{name} has {rows} rows of tokens, and was given the token id {wrong[0]}. Give "
                f"ids from 0 to {rows - 1}."
            )


def padding_id(tokenizer: "PreTrainedTokenizerBase", rows: int) -> int:
    """Return the id of the padding token, or 0 if it has none with a row in the word embedding."""
    number = tokenizer.pad_token_id
    return number if number is not None and number < rows else 0


def require_encoder_decoder(name: str, config: Config, head: str | None) -> None:
    """Raise an error for a model without a decoder that attends to an encoder.

    Args:
      name: the model's name, for errors.
      config: the model's config.
      head: the kind of head that the model was loaded with.

    Raises:
      InputError: the model is no encoder-decoder, or was loaded without its decoder.
    """
    if not config.is_encoder_decoder:
        raise InputError(
            f"{name} ({config.family}) is no encoder-decoder: it has one stack of "
            "layers. Give all tokens to `apply` as input_ids."
        )
    if head in ENCODER_HEADS:
        raise InputError(
            f"{name} was loaded with the head {head}, without its decoder. Load it without a head."
        )


def require_classifier(name: str, head: str | None) -> None:
    """Raise an error for a model that was not loaded to classify texts.

    Args:
      name: the model's name, for errors.
      head: the kind of head that the model was loaded with.

    Raises:
      InputError: it is another head, or none.
    """
    if head != SEQUENCE_CLASSIFICATION:
        raise InputError(
            f"{name} was loaded with the head {head}. To classify texts, load it with "
            f"head={SEQUENCE_CLASSIFICATION!r}."
        )


def require_no_decoder_inputs(name: str, head: str | None, inputs: dict[str, Any]) -> None:
    """Raise an error if a model whose head reads only `input_ids` gets inputs for a decoder.

    Args:
      name: the model's name, for errors.
      head: the kind of head.
      inputs: the arrays for the decoder by name, None for missing ones.

    Raises:
      InputError: an array is given.
    """
    if any(array is not None for array in inputs.values()):
        raise InputError(
            f"{name} was loaded with the head {head}, which reads input_ids alone. "
            f"Leave {', '.join(inputs)} out."
        )
