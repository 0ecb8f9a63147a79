"""The vocabulary in the metadata of a GGUF file: tokens, their kinds, scores and roles."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError, problems_error

Metadata = Mapping[str, Any]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Kinds of tokens in `tokenizer.ggml.token_type`."""

CONVERT_AGAIN = "Convert the model again with a current llama.cpp."
SHOWN_FAULTS = 5

_ROLES = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
    "mask_token": "mask_token_id",
}
# That of RoBERTa too, whose tokenizers begin and end texts with what decoders call their ends.
_ENCODER = "bert"
# The ends of a text, of a turn and of a message.
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")


def metadata_value(metadata: Metadata, key: str, kind: type, default: Any) -> Any:
    """A value of the metadata that is of the right kind, or the default if there is none."""
    value = metadata.get(key, default)
    if key in metadata and type(value) is not kind:
        raise InputError(
            f"the GGUF metadata hold a {type(value).__name__} as {key}, not a {kind.__name__}. "
            f"{CONVERT_AGAIN}"
        )
    return value


def vocabulary(metadata: Metadata) -> list[str]:
    """The tokens by their numbers, each of which is there once."""
    tokens = metadata_value(metadata, "tokenizer.ggml.tokens", list, [])
    if not tokens:
        raise InputError(
            "the GGUF metadata hold no vocabulary (tokenizer.ggml.tokens). Give a file that was "
            "converted with its tokenizer."
        )
    if twice := len(tokens) - len(set(tokens)):
        raise InputError(f"the GGUF vocabulary has {twice} tokens twice. {CONVERT_AGAIN}")
    return tokens


def token_kinds(metadata: Metadata, tokens: list[str]) -> np.ndarray:
    """The kind of each token; all are normal where the file says nothing."""
    ordinary = np.full(len(tokens), NORMAL, np.int32)
    kinds = metadata_value(metadata, "tokenizer.ggml.token_type", np.ndarray, ordinary)
    return _one_each(kinds, tokens, "token types")


def token_scores(metadata: Metadata, tokens: list[str]) -> np.ndarray:
    """The score of each token, which SentencePiece's models have."""
    scores = metadata_value(metadata, "tokenizer.ggml.scores", np.ndarray, None)
    if scores is None:
        raise InputError(
            "the GGUF metadata hold no scores (tokenizer.ggml.scores), which a vocabulary of "
            "SentencePiece needs. Give a file that was converted with its tokenizer."
        )
    return _one_each(scores, tokens, "scores")


def _one_each(values: np.ndarray, tokens: list[str], what: str) -> np.ndarray:
    if len(values) != len(tokens):
        raise InputError(
            f"the GGUF vocabulary has {len(tokens)} tokens and {len(values)} {what}. "
            f"{CONVERT_AGAIN}"
        )
    return values


def tokens_with_roles(
    metadata: Metadata, tokens: list[str], roles: Mapping[str, str]
) -> dict[str, str]:
    """The tokens with a role that the file names.

    Args:
      metadata: `GGUFFile.metadata`.
      tokens: of the vocabulary.
      roles: the key of each role's number, after `tokenizer.ggml.`.

    Returns:
      Tokens by their roles.

    Raises:
      InputError: a number is no token's.
    """
    ids = {
        role: metadata_value(metadata, f"tokenizer.ggml.{key}", int, None)
        for role, key in roles.items()
        if f"tokenizer.ggml.{key}" in metadata
    }
    if wrong := {role: index for role, index in ids.items() if not 0 <= index < len(tokens)}:
        raise problems_error(
            f"the GGUF vocabulary has {len(tokens)} tokens, and these are not among them. "
            f"{CONVERT_AGAIN}",
            [f"{role}: {index}" for role, index in wrong.items()],
        )
    return {role: tokens[index] for role, index in ids.items()}


def special_tokens(metadata: Metadata, tokens: list[str]) -> dict[str, str]:
    """The tokens that have a role in a model, by the role's name in transformers.

    A file without a padding token gets its end-of-sequence token for one: padding is then told
    apart by the attention mask alone.

    Args:
      metadata: `GGUFFile.metadata`.
      tokens: of the vocabulary.

    Returns:
      Tokens by their roles.

    Raises:
      InputError: no token ends a sequence, or a number is no token's.
    """
    special = tokens_with_roles(metadata, tokens, _ROLES)
    if "eos_token" not in special:
        raise InputError(
            "the GGUF metadata name no end-of-sequence token (tokenizer.ggml.eos_token_id). "
            f"{CONVERT_AGAIN}"
        )
    if _is_encoder(metadata) and "bos_token" in special:
        special |= {"cls_token": special["bos_token"], "sep_token": special["eos_token"]}
    return {"pad_token": special["eos_token"], **special}


def _is_encoder(metadata: Metadata) -> bool:
    return metadata.get("general.architecture") == _ENCODER


def gguf_end_tokens(metadata: Metadata) -> tuple[int, ...]:
    """The tokens that end what a model writes: those that end a text, a turn or a message.

    Args:
      metadata: `GGUFFile.metadata`, of which `gguf_tokenizer` makes a tokenizer.

    Returns:
      Their numbers, each once, ascending.

    Raises:
      InputError: what is named is no token of the vocabulary.
    """
    found = {
        number
        for name in _ENDS
        if (number := metadata_value(metadata, f"tokenizer.ggml.{name}", int, None)) is not None
    }
    if wrong := sorted(found - set(range(len(vocabulary(metadata))))):
        raise problems_error(
            f"tokens should end texts that the GGUF vocabulary lacks. {CONVERT_AGAIN}",
            map(str, wrong),
        )
    return tuple(sorted(found))


def add_whole_tokens(
    tokenizer: Tokenizer,
    tokens: list[str],
    kinds: np.ndarray,
    *,
    normalized: bool = False,
    mask: str | None = None,
) -> None:
    """Makes control tokens and those added by users match as a whole, before any cutting.

    Args:
      tokenizer: to which they are added.
      tokens: of the vocabulary.
      kinds: of the tokens.
      normalized: whether those added by users are looked for in the normalised text.
      mask: the one that stands for a word with the space before it.
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
    """Puts the first and the last token of a sequence around texts, if the file asks for them.

    Args:
      tokenizer: to which they are added.
      metadata: `GGUFFile.metadata`.
      special: tokens by their roles.
      begins: whether texts begin with a token where the file does not say.
      ends: likewise, whether they end with one.
    """
    encodes = _is_encoder(metadata)
    begins = metadata_value(metadata, "tokenizer.ggml.add_bos_token", bool, begins or encodes)
    ends = metadata_value(metadata, "tokenizer.ggml.add_eos_token", bool, ends or encodes)
    if begins and "bos_token" not in special:
        raise InputError(
            "texts should begin with a token (tokenizer.ggml.add_bos_token), and the GGUF metadata "
            f"name none (tokenizer.ggml.bos_token_id). {CONVERT_AGAIN}"
        )
    first = [special["bos_token"]] if begins else []
    last = [special["eos_token"]] if ends else []
    # RoBERTa puts two ends between the texts of a pair, and takes both for one sequence.
    second = [*last, "$B"] if encodes else [*(f"{token}:1" for token in first), "$B:1"]
    if first or last:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*first, "$A", *last],
            pair=[*first, "$A", *last, *second, *last],
            special_tokens=numbered(tokenizer, first + last),
        )


def numbered(tokenizer: Tokenizer, tokens: Iterable[str]) -> list[tuple[str, int]]:
    """Tokens with their numbers, each once."""
    return [(token, tokenizer.token_to_id(token)) for token in sorted(set(tokens))]


def finished(
    tokenizer: Tokenizer, metadata: Metadata, special: Mapping[str, str]
) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers has it, with the longest text that the model takes."""
    architecture = metadata_value(metadata, "general.architecture", str, "none")
    limit = metadata_value(metadata, f"{architecture}.context_length", int, None)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=metadata_value(metadata, "tokenizer.chat_template", str, None),
        clean_up_tokenization_spaces=False,
        **({} if limit is None else {"model_max_length": limit}),
        **special,
    )
