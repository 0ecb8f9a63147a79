"""SentencePiece's byte-pair encoding in GGUF files: the tokenizer model "llama".

Llama 2, Mistral and Gemma use it (https://arxiv.org/abs/1808.06226).
"""

import re
from collections import Counter

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata, metadata_value
from fsl_jax.models.gguf.token_roles import special_tokens
from fsl_jax.models.gguf.tokenizer_parts import add_ends, add_whole_tokens, fast_tokenizer
from fsl_jax.models.gguf.vocabulary import (
    BYTE,
    NORMAL,
    SHOWN_PROBLEMS,
    UNKNOWN,
    USER_DEFINED,
    token_kinds,
    token_scores,
    vocabulary,
)

SPACE = "\u2581"
"""The character that SentencePiece writes for a space."""

_BYTES = {f"<0x{number:02X}>" for number in range(256)}


def sentencepiece_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """Build a tokenizer that gives the tokens of SentencePiece's byte-pair encoding.

    SentencePiece has no list of merges. Among all neighbours that form a token, it first joins
    those with the highest score. The merges are derived from the scores. In a text with special
    tokens, each part between them is encoded separately, as in llama.cpp.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokenizer, with the special tokens and the chat template of the file.

    Raises:
      InputError: the metadata are incomplete or contradict themselves.
    """
    tokens = vocabulary(metadata)
    kinds, special = token_kinds(metadata, tokens), special_tokens(metadata, tokens)
    unknown = [token for token, kind in zip(tokens, kinds, strict=True) if kind == UNKNOWN]
    if unknown:
        special.setdefault("unk_token", unknown[0])
    model = models.BPE(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=_merges(tokens, kinds, token_scores(metadata, tokens)),
        unk_token=special.get("unk_token"),
        fuse_unk=True,
        byte_fallback=_has_bytes(tokens, kinds),
    )
    tokenizer = Tokenizer(model)
    begins_with_space = metadata_value(metadata, "tokenizer.ggml.add_space_prefix", bool, True)
    first = [first_space(tokens, kinds)] if begins_with_space else []
    tokenizer.normalizer = normalizers.Sequence([*first, normalizers.Replace(" ", SPACE)])
    last = [decoders.Strip(" ", left=1, right=0)] if begins_with_space else []
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, *last])
    add_whole_tokens(tokenizer, tokens, kinds, normalized=True)
    add_ends(tokenizer, metadata, special, begins=True)
    return fast_tokenizer(tokenizer, metadata, special)


def _has_bytes(tokens: list[str], kinds: np.ndarray) -> bool:
    """Return True if there is a token for each byte, for encoding unknown characters."""
    byte_tokens = {tokens[index] for index in np.flatnonzero(kinds == BYTE)}
    if byte_tokens and byte_tokens != _BYTES:
        raise InputError(
            f"the GGUF vocabulary has {len(byte_tokens & _BYTES)} of the 256 bytes as tokens, and "
            f"{len(byte_tokens - _BYTES)} others that should be bytes (tokenizer.ggml.token_type). "
            f"{CONVERT_AGAIN}"
        )
    return bool(byte_tokens)


def _merges(tokens: list[str], kinds: np.ndarray, scores: np.ndarray) -> list[tuple[str, str]]:
    """Return all pairs of normal tokens that form a normal token, in the order of merging.

    Among pairs that form the same token, the pair with the longer left part comes first: if both
    overlap in a run of one letter, it is further left.
    """
    normal = {tokens[index]: float(scores[index]) for index in np.flatnonzero(kinds == NORMAL)}
    merges = [
        (token[:cut], token[cut:])
        for token in normal
        for cut in range(1, len(token))
        if token[:cut] in normal and token[cut:] in normal
    ]
    joined = {left + right for left, right in merges}
    _require_order({token: normal[token] for token in joined})
    return sorted(merges, key=lambda pair: (-normal[pair[0] + pair[1]], -len(pair[0])))


def _require_order(scores: dict[str, float]) -> None:
    """Raise an error if two tokens have the same score, so that their order is unknown.

    SentencePiece then first joins the token further left in the text, which merges cannot express.
    """
    often = Counter(scores.values())
    if open_scores := [score for score, count in often.items() if count > 1]:
        shown = [
            f"{score}: {', '.join(sorted(token for token in scores if scores[token] == score)[:3])}"
            for score in sorted(open_scores, reverse=True)[:SHOWN_PROBLEMS]
        ]
        raise problems_error(
            f"{len(open_scores)} scores of the GGUF vocabulary belong to several tokens, so that "
            "their order is not known. Convert the model again from its tokenizer.model.",
            shown,
        )


def first_space(tokens: list[str], kinds: np.ndarray) -> normalizers.Normalizer:
    """Make the step that puts a space before a text, but not before user-defined tokens.

    These tokens are normalised themselves before matching. A text that consists of only one of them
    gets no space either, although SentencePiece adds one.

    Args:
      tokens: the tokens of the vocabulary.
      kinds: the kinds of the tokens.

    Returns:
      The normalisation step.
    """
    whole = [tokens[index] for index in np.flatnonzero(kinds == USER_DEFINED)]
    if not whole:
        return normalizers.Prepend(SPACE)
    alternatives = "|".join(re.escape(token) for token in whole)
    return normalizers.Replace(Regex(rf"\A(?!(?:{alternatives})?\z)"), SPACE)
