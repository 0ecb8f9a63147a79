"""The shared parts of all kinds of tokenizers: whole tokens, ends of sequences, the wrapper."""

from collections.abc import Iterable, Mapping

import numpy as np
from tokenizers import AddedToken, Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata, metadata_value
from fsl_jax.models.gguf.token_roles import is_encoder
from fsl_jax.models.gguf.vocabulary import CONTROL, UNKNOWN, USER_DEFINED


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
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*first, "$A", *last],
            pair=[*first, "$A", *last, *second, *last],
            special_tokens=with_ids(tokenizer, first + last),
        )


def with_ids(tokenizer: Tokenizer, tokens: Iterable[str]) -> list[tuple[str, int]]:
    """Return tokens with their ids, each once."""
    return [(token, tokenizer.token_to_id(token)) for token in sorted(set(tokens))]


def fast_tokenizer(
    tokenizer: Tokenizer, metadata: Metadata, special: Mapping[str, str]
) -> PreTrainedTokenizerFast:
    """Wrap a tokenizer for transformers, with the model's longest text and its chat template."""
    architecture = metadata_value(metadata, "general.architecture", str, "none")
    limit = metadata_value(metadata, f"{architecture}.context_length", int, None)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=metadata_value(metadata, "tokenizer.chat_template", str, None),
        clean_up_tokenization_spaces=False,
        **({} if limit is None else {"model_max_length": limit}),
        **special,
    )
