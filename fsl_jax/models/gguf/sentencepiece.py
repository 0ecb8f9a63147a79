"""SentencePiece's byte-pair encoding in GGUF files: the tokenizer model "llama".

Llama 2, Mistral and Gemma have it (https://arxiv.org/abs/1808.06226).
"""

import re
from collections import Counter

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.gguf.vocabulary import (
    BYTE,
    CONVERT_AGAIN,
    NORMAL,
    SHOWN_FAULTS,
    UNKNOWN,
    USER_DEFINED,
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

SPACE = "\u2581"
"""What SentencePiece writes for a space."""

_BYTES = {f"<0x{number:02X}>" for number in range(256)}
# What would change the text beyond its spaces; none of these models has it.
_NORMALISATIONS = ("precompiled_charsmap", "remove_extra_whitespaces")


def sentencepiece_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """Builds a tokenizer of SentencePiece's byte-pair encoding, which gives its tokens.

    SentencePiece has no merges: of all neighbours that make a token, those of the highest score are
    joined first. The merges follow from that. Where special tokens are in a text, what lies
    between them is encoded by itself, as llama.cpp does.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokenizer, with the special tokens and the chat template of the file.

    Raises:
      InputError: the metadata lack something, or contradict themselves.
    """
    _require_plain_text(metadata)
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
    return finished(tokenizer, metadata, special)


def _require_plain_text(metadata: Metadata) -> None:
    given = [key for key in _NORMALISATIONS if np.any(metadata.get(f"tokenizer.ggml.{key}"))]
    if given:
        raise problems_error(
            "the GGUF tokenizer normalises texts, which is not supported for SentencePiece's "
            "byte-pair encoding. Give the directory of the model's Hugging Face files instead.",
            (f"tokenizer.ggml.{key}" for key in given),
        )


def _has_bytes(tokens: list[str], kinds: np.ndarray) -> bool:
    """Whether there is a token for each byte, which characters that are no tokens fall back to."""
    given = {tokens[index] for index in np.flatnonzero(kinds == BYTE)}
    if given and given != _BYTES:
        raise InputError(
            f"the GGUF vocabulary has {len(given & _BYTES)} of the 256 bytes as tokens, and "
            f"{len(given - _BYTES)} others that should be bytes. {CONVERT_AGAIN}"
        )
    return bool(given)


def _merges(tokens: list[str], kinds: np.ndarray, scores: np.ndarray) -> list[tuple[str, str]]:
    """All pairs of normal tokens that make a normal token, in the order in which they join.

    Of pairs that make the same token, the one with the longer left piece goes first: where the two
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
    """Refuses scores that leave open which of two tokens goes first.

    SentencePiece then takes the one that is further left in the text, which no merges say.
    """
    often = Counter(scores.values())
    if open_scores := [score for score, count in often.items() if count > 1]:
        shown = [
            f"{score}: {', '.join(sorted(token for token in scores if scores[token] == score)[:3])}"
            for score in sorted(open_scores, reverse=True)[:SHOWN_FAULTS]
        ]
        raise problems_error(
            f"{len(open_scores)} scores of the GGUF vocabulary are those of several tokens, so "
            "that their order is not known. Convert the model again from its tokenizer.model.",
            shown,
        )


def first_space(tokens: list[str], kinds: np.ndarray) -> normalizers.Normalizer:
    """Puts a space before a text, but not before tokens that match as a whole.

    Those are themselves normalised before they are looked for. A text that is nothing but one of
    them gets no space either, though SentencePiece gives it one.

    Args:
      tokens: of the vocabulary.
      kinds: of the tokens.

    Returns:
      The step of normalising a text.
    """
    whole = [tokens[index] for index in np.flatnonzero(kinds == USER_DEFINED)]
    if not whole:
        return normalizers.Prepend(SPACE)
    each = "|".join(re.escape(token) for token in whole)
    return normalizers.Replace(Regex(rf"\A(?!(?:{each})?\z)"), SPACE)
