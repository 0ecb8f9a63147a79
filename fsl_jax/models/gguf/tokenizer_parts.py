"""The shared parts of all kinds of tokenizers: whole tokens, ends of sequences, the wrapper."""

from collections.abc import Iterable, Mapping

import numpy as np
from tokenizers import AddedToken, Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError, brief
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata, metadata_value
from fsl_jax.models.gguf.token_roles import is_encoder
from fsl_jax.models.gguf.vocabulary import CONTROL, UNKNOWN, USER_DEFINED
from fsl_jax.ranges import MAX_INT32


def add_whole_tokens(
    tokenizer: Tokenizer,
    tokens: list[str],
    kinds: np.ndarray,
    *,
    normalized: bool = False,
    mask: str | None = None,
) -> None:
    """Make control tokens and user-defined tokens match as a whole before a text is split.

    Args:
      tokenizer: the tokenizer to which they are added.
      tokens: the tokens of the vocabulary.
      kinds: the kinds of the tokens.
      normalized: whether user-defined tokens are matched in the normalised text.
      mask: the mask token, which includes the space before it.
    """
    whole = np.flatnonzero(np.isin(kinds, (UNKNOWN, CONTROL, USER_DEFINED)))
    tokenizer.add_tokens(
        [
            AddedToken(tokens[index], special=False, normalized=normalized)
            if kinds[index] == USER_DEFINED
            else AddedToken(
                tokens[index], special=True, normalized=False, lstrip=tokens[index] == mask
            )
            for index in whole
        ]
    )


def add_ends(
    tokenizer: Tokenizer,
    metadata: Metadata,
    special: Mapping[str, str],
    *,
    begins: bool,
    ends: bool = False,
) -> None:
    """Put the first and the last token of a sequence around texts, if the file asks for them.

    Args:
      tokenizer: the tokenizer to which they are added.
      metadata: `GGUFFile.metadata`.
      special: tokens by role.
      begins: whether texts begin with a token if the file does not say.
      ends: whether texts end with a token if the file does not say.

    Raises:
      InputError: texts should begin with a token and the file names none.
    """
    encodes = is_encoder(metadata)
    begins = metadata_value(metadata, "tokenizer.ggml.add_bos_token", bool, begins or encodes)
    ends = metadata_value(metadata, "tokenizer.ggml.add_eos_token", bool, ends or encodes)
    if begins and "bos_token" not in special:
        raise InputError(
            "texts should begin with a token (tokenizer.ggml.add_bos_token), and the GGUF metadata "
            f"name none (tokenizer.ggml.bos_token_id). {CONVERT_AGAIN}"
        )
    first = [special["bos_token"]] if begins else []
    last = [special["eos_token"]] if ends else []
    # RoBERTa puts two end tokens between the texts of a pair, and gives both texts the same type.
    second = [*last, "$B"] if encodes else [*(f"{token}:1" for token in first), "$B:1"]
    if first or last:
        single, pair = [*first, "$A", *last], [*first, "$A", *last, *second, *last]
        tokenizer.post_processor = template(tokenizer, single, pair, first + last)


def template(
    tokenizer: Tokenizer, single: list[str], pair: list[str], tokens: Iterable[str]
) -> processors.TemplateProcessing:
    """Make the step that puts tokens around texts.

    Args:
      tokenizer: the tokenizer, for the ids of the tokens.
      single: the template of one text, `$A`.
      pair: the template of two texts, `$A` and `$B`, with types after a colon.
      tokens: the tokens of both templates.

    Returns:
      The step.

    Raises:
      InputError: a token would be read as a part of the template's language.
    """
    ids = {token: tokenizer.token_to_id(token) for token in sorted(set(tokens))}
    if wrong := [token for token in ids if token.startswith("$") or ":" in token or not token]:
        raise InputError(
            f"the token {brief(wrong[0])} cannot begin or end a text: it may not be empty, begin "
            f"with a dollar sign or have a colon. {CONVERT_AGAIN}"
        )
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=[*ids.items()])


def fast_tokenizer(
    tokenizer: Tokenizer, metadata: Metadata, special: Mapping[str, str]
) -> PreTrainedTokenizerFast:
    """Wrap a tokenizer for transformers, with the model's longest text and its chat template."""
    architecture = metadata_value(metadata, "general.architecture", str, "none")
    key = f"{architecture}.context_length"
    limit = metadata_value(metadata, key, int, None)
    if limit is not None and not 0 < limit <= MAX_INT32:
        raise InputError(f"the GGUF metadata hold {limit} as {key}. {CONVERT_AGAIN}")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=metadata_value(metadata, "tokenizer.chat_template", str, None),
        clean_up_tokenization_spaces=False,
        **({} if limit is None else {"model_max_length": limit}),
        **special,
    )
