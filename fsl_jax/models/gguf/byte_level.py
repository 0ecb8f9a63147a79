"""Byte-level byte-pair encoding in GGUF files: the tokenizer model "gpt2"."""

from collections.abc import Callable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata, metadata_value
from fsl_jax.models.gguf.token_roles import special_tokens
from fsl_jax.models.gguf.tokenizer_parts import add_ends, add_whole_tokens, fast_tokenizer
from fsl_jax.models.gguf.vocabulary import (
    LONGEST_TOKEN,
    SHOWN_PROBLEMS,
    token_kinds,
    vocabulary,
)

_LONGEST_NAME = 100
# https://github.com/meta-llama/llama3/blob/main/llama/tokenizer.py
_LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _gpt2_words() -> pre_tokenizers.PreTokenizer:
    """Split into words, numbers and runs of punctuation, as in GPT-2."""
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _single_digits() -> pre_tokenizers.PreTokenizer:
    """Split off each digit, and split the rest as in GPT-2."""
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2_words()])


def _llama3_words() -> pre_tokenizers.PreTokenizer:
    """Split into words, ignoring case in contractions, and into groups of up to three digits."""
    return _split_by(_LLAMA3_WORDS)


def _qwen2_words() -> pre_tokenizers.PreTokenizer:
    """Split as in Llama 3, but with every digit by itself."""
    return _split_by(_LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}"))


def _split_by(expression: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(expression), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


# The format's names for ways to split a text. A model of any family may have any of them.
_PRE_TOKENIZERS: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "gpt-2": _gpt2_words,
    "roberta-bpe": _gpt2_words,
    "smollm": _single_digits,
    "starcoder": _single_digits,
    "llama3": _llama3_words,
    "llama-v3": _llama3_words,
    "llama-bpe": _llama3_words,
    "qwen2": _qwen2_words,
}


def byte_level_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """Build a tokenizer of byte-level byte-pair encoding.

    A text is split into words before the merges apply. A GGUF file has only a name for this rule,
    `tokenizer.ggml.pre`. An unknown name is an error, since another rule would silently give other
    tokens.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokenizer, with the special tokens and the chat template of the file.

    Raises:
      InputError: the metadata are incomplete or contradict themselves.
    """
    pre = metadata_value(metadata, "tokenizer.ggml.pre", str, "none")
    if pre not in _PRE_TOKENIZERS:
        raise unknown_name(
            "GGUF pre-tokenizer (tokenizer.ggml.pre)", pre[:_LONGEST_NAME], _PRE_TOKENIZERS
        )
    is_llama3 = _PRE_TOKENIZERS[pre] is _llama3_words
    tokens = vocabulary(metadata)
    special = special_tokens(metadata, tokens)
    # In Llama 3, a word in the vocabulary is always one token, even if the merges give others.
    tokenizer = Tokenizer(_byte_pairs(tokens, _merges(metadata), ignore_merges=is_llama3))
    if _PRE_TOKENIZERS[pre] is _qwen2_words:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _PRE_TOKENIZERS[pre]()
    tokenizer.decoder = decoders.ByteLevel()
    kinds = token_kinds(metadata, tokens)
    add_whole_tokens(tokenizer, tokens, kinds, mask=special.get("mask_token"))
    add_ends(tokenizer, metadata, special, begins=is_llama3)
    return fast_tokenizer(tokenizer, metadata, special)


def _merges(metadata: Metadata) -> list[tuple[str, str]]:
    merges = metadata_value(metadata, "tokenizer.ggml.merges", list, None)
    if merges is None:
        raise InputError(
            "the GGUF metadata hold no merges (tokenizer.ggml.merges), which byte-pair encoding "
            "needs. Give a file that was converted with its tokenizer."
        )
    if malformed := [merge for merge in merges if merge.count(" ") != 1]:
        raise problems_error(
            f"{len(malformed)} GGUF merges are not pairs of pieces. {CONVERT_AGAIN}",
            (repr(merge[:LONGEST_TOKEN]) for merge in malformed[:SHOWN_PROBLEMS]),
        )
    return [(left, right) for left, right in (merge.split(" ") for merge in merges)]


def _byte_pairs(
    tokens: list[str], merges: list[tuple[str, str]], ignore_merges: bool
) -> models.BPE:
    ids = {token: index for index, token in enumerate(tokens)}
    lacking = [
        f"{left!r} + {right!r}"
        for left, right in merges
        if not (left in ids and right in ids and left + right in ids)
    ]
    if lacking:
        raise problems_error(
            f"{len(lacking)} GGUF merges have tokens that the vocabulary lacks. {CONVERT_AGAIN}",
            lacking[:SHOWN_PROBLEMS],
        )
    return models.BPE(vocab=ids, merges=merges, ignore_merges=ignore_merges)
