"""SentencePiece's unigram language model in GGUF files: the tokenizer model "t5".

T5, mT5 and XLM-RoBERTa have it (https://arxiv.org/abs/1804.10959).
"""

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.sentencepiece import SPACE, first_space
from fsl_jax.models.gguf.vocabulary import (
    CONVERT_AGAIN,
    UNKNOWN,
    Metadata,
    add_ends,
    add_whole_tokens,
    finished,
    metadata_value,
    special_tokens,
    token_kinds,
    token_scores,
    vocabulary,
)

_CHARACTERS = "tokenizer.ggml.precompiled_charsmap"


def unigram_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """Builds a tokenizer of SentencePiece's unigram language model.

    Characters are normalised by the table in the file, as the fast tokenizers of transformers do.
    It is not quite what SentencePiece does: combining marks are lost after a character that the
    table replaces, and those of scripts that need six bytes or more are not composed. Of two ways
    to cut a text that are equally likely, rounding takes either.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokenizer, with the special tokens of the file.

    Raises:
      InputError: the metadata lack something, or contradict themselves.
    """
    tokens = vocabulary(metadata)
    kinds, scores = token_kinds(metadata, tokens), token_scores(metadata, tokens)
    unknown = np.flatnonzero(kinds == UNKNOWN)
    if len(unknown) != 1:
        raise InputError(
            f"the GGUF vocabulary has {len(unknown)} tokens for what is unknown, not one. "
            f"{CONVERT_AGAIN}"
        )
    special = {"unk_token": tokens[unknown[0]], **special_tokens(metadata, tokens)}
    pieces = list(zip(tokens, map(float, scores), strict=True))
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=int(unknown[0]), byte_fallback=False))
    tokenizer.normalizer = _normalizer(metadata, tokens, kinds)
    tokenizer.decoder = decoders.Metaspace(SPACE, prepend_scheme="always")
    add_whole_tokens(tokenizer, tokens, kinds, normalized=True, mask=special.get("mask_token"))
    add_ends(tokenizer, metadata, special, begins=False, ends=True)
    return finished(tokenizer, metadata, special)


def _normalizer(metadata: Metadata, tokens: list[str], kinds: np.ndarray) -> normalizers.Sequence:
    steps = _characters(metadata)
    strips = metadata_value(metadata, "tokenizer.ggml.remove_extra_whitespaces", bool, True)
    if strips:
        steps += [_replace(r"\A +", ""), _replace(" {2,}", " ")]
    if metadata_value(metadata, "tokenizer.ggml.add_space_prefix", bool, True):
        steps.append(first_space(tokens, kinds))
    steps.append(normalizers.Replace(" ", SPACE))
    if strips:
        steps.append(_replace(rf"{SPACE}+\z", ""))
    return normalizers.Sequence(steps)


def _replace(expression: str, content: str) -> normalizers.Normalizer:
    return normalizers.Replace(Regex(expression), content)


def _characters(metadata: Metadata) -> list[normalizers.Normalizer]:
    table = metadata_value(metadata, _CHARACTERS, np.ndarray, np.zeros(0, np.uint8))
    if not len(table):
        return []
    try:
        return [normalizers.Precompiled(table.astype(np.uint8).tobytes())]
    # It has no error of its own.
    except Exception as error:
        raise InputError(
            f"the table of characters in the GGUF metadata ({_CHARACTERS}) cannot be read: "
            f"{error}. {CONVERT_AGAIN}"
        ) from error
