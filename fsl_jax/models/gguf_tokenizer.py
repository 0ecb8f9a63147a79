"""The tokenizer that a GGUF file carries in its metadata, built without PyTorch."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError, faults, unknown_name

Metadata = Mapping[str, Any]

# Kinds of tokens in `tokenizer.ggml.token_type`; the others are ordinary pieces of text.
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4
_MODELS = ("gpt2",)
_CONVERT_AGAIN = "Convert the model again with a current llama.cpp."
_SHOWN_FAULTS = 5
_SPECIAL_IDS = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
}
# The ends of a text, of a turn and of a message.
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")
# https://github.com/meta-llama/llama3/blob/main/llama/tokenizer.py
_LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _gpt2_words() -> pre_tokenizers.PreTokenizer:
    """Words, numbers and runs of signs, as GPT-2 cuts them."""
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _single_digits() -> pre_tokenizers.PreTokenizer:
    """Every digit by itself, then what is between them as GPT-2 cuts it."""
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _gpt2_words()])


def _llama3_words() -> pre_tokenizers.PreTokenizer:
    """Words in any case, and digits by threes."""
    return _split_by(_LLAMA3_WORDS)


def _qwen2_words() -> pre_tokenizers.PreTokenizer:
    """As Llama 3, with every digit by itself."""
    return _split_by(_LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}"))


def _split_by(expression: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(expression), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


_PRE_TOKENIZERS: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "gpt-2": _gpt2_words,
    "smollm": _single_digits,
    "starcoder": _single_digits,
    "llama3": _llama3_words,
    "llama-v3": _llama3_words,
    "llama-bpe": _llama3_words,
    "qwen2": _qwen2_words,
}


def gguf_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """Builds the tokenizer that the metadata of a GGUF file describes.

    How text is cut before the merges of byte-pair encoding apply is known in GGUF only by a name,
    `tokenizer.ggml.pre`; a name without a rule here is refused, since any other rule gives other
    tokens without a word. A file without a padding token gets its end-of-sequence token for one:
    padding is then told apart by the attention mask alone.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokenizer, with the special tokens and the chat template of the file.

    Raises:
      InputError: the metadata describe no tokenizer, one of an unknown kind, or contradict
        themselves.
    """
    model = _value(metadata, "tokenizer.ggml.model", str, "none")
    if model not in _MODELS:
        raise unknown_name("GGUF tokenizer (tokenizer.ggml.model)", model, _MODELS)
    pre = _value(metadata, "tokenizer.ggml.pre", str, "none")
    if pre not in _PRE_TOKENIZERS:
        raise unknown_name("GGUF pre-tokenizer (tokenizer.ggml.pre)", pre, _PRE_TOKENIZERS)
    is_llama3 = _PRE_TOKENIZERS[pre] is _llama3_words
    tokens = _tokens(metadata)
    special = _special_tokens(metadata, tokens)
    # A word of Llama 3 that is a token is that token, whatever the merges make of it.
    tokenizer = Tokenizer(_byte_pairs(tokens, _merges(metadata), ignore_merges=is_llama3))
    if _PRE_TOKENIZERS[pre] is _qwen2_words:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _PRE_TOKENIZERS[pre]()
    tokenizer.decoder = decoders.ByteLevel()
    _add_tokens(tokenizer, metadata, tokens)
    _add_ends(tokenizer, metadata, special, begins_by_default=is_llama3)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=_value(metadata, "tokenizer.chat_template", str, None),
        clean_up_tokenization_spaces=False,
        **_length_limit(metadata),
        **special,
    )


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
        if (number := _value(metadata, f"tokenizer.ggml.{name}", int, None)) is not None
    }
    if wrong := sorted(found - set(range(len(_tokens(metadata))))):
        raise faults(
            f"tokens should end texts that the GGUF vocabulary lacks. {_CONVERT_AGAIN}",
            map(str, wrong),
        )
    return tuple(sorted(found))


def _value(metadata: Metadata, key: str, kind: type, default: Any) -> Any:
    """A value of the metadata that is of the right kind, or the default if there is none."""
    value = metadata.get(key, default)
    if key in metadata and type(value) is not kind:
        raise InputError(
            f"the GGUF metadata hold a {type(value).__name__} as {key}, not a {kind.__name__}. "
            f"{_CONVERT_AGAIN}"
        )
    return value


def _tokens(metadata: Metadata) -> list[str]:
    tokens = _value(metadata, "tokenizer.ggml.tokens", list, [])
    if not tokens:
        raise InputError(
            "the GGUF metadata hold no vocabulary (tokenizer.ggml.tokens). Give a file that was "
            "converted with its tokenizer."
        )
    if twice := len(tokens) - len(set(tokens)):
        raise InputError(f"the GGUF vocabulary has {twice} tokens twice. {_CONVERT_AGAIN}")
    return tokens


def _merges(metadata: Metadata) -> list[tuple[str, str]]:
    merges = _value(metadata, "tokenizer.ggml.merges", list, None)
    if merges is None:
        raise InputError(
            "the GGUF metadata hold no merges (tokenizer.ggml.merges), which byte-pair encoding "
            "needs. Give a file that was converted with its tokenizer."
        )
    if wrong := [merge for merge in merges if merge.count(" ") != 1]:
        raise faults(
            f"{len(wrong)} GGUF merges are not two pieces. {_CONVERT_AGAIN}",
            map(repr, wrong[:_SHOWN_FAULTS]),
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
        raise faults(
            f"{len(lacking)} GGUF merges are of or to tokens that the vocabulary lacks. "
            f"{_CONVERT_AGAIN}",
            lacking[:_SHOWN_FAULTS],
        )
    return models.BPE(vocab=ids, merges=merges, ignore_merges=ignore_merges)


def _special_tokens(metadata: Metadata, tokens: list[str]) -> dict[str, str]:
    """The tokens with a role, by the role's name in transformers."""
    ids = {
        role: _value(metadata, f"tokenizer.ggml.{key}", int, None)
        for role, key in _SPECIAL_IDS.items()
        if f"tokenizer.ggml.{key}" in metadata
    }
    if wrong := {role: index for role, index in ids.items() if not 0 <= index < len(tokens)}:
        raise faults(
            f"the GGUF vocabulary has {len(tokens)} tokens, and these are not among them. "
            f"{_CONVERT_AGAIN}",
            [f"{role}: {index}" for role, index in wrong.items()],
        )
    if "eos_token" not in ids:
        raise InputError(
            "the GGUF metadata name no end-of-sequence token (tokenizer.ggml.eos_token_id). "
            f"{_CONVERT_AGAIN}"
        )
    ids.setdefault("pad_token", ids["eos_token"])
    return {role: tokens[index] for role, index in ids.items()}


def _add_tokens(tokenizer: Tokenizer, metadata: Metadata, tokens: list[str]) -> None:
    """Makes control tokens and tokens added by users match as a whole, before any cutting."""
    ordinary = np.ones(len(tokens), np.int32)
    kinds = _value(metadata, "tokenizer.ggml.token_type", np.ndarray, ordinary)
    if len(kinds) != len(tokens):
        raise InputError(
            f"the GGUF vocabulary has {len(tokens)} tokens and {len(kinds)} token types. "
            f"{_CONVERT_AGAIN}"
        )
    tokenizer.add_tokens(
        [
            AddedToken(tokens[index], special=bool(kinds[index] != _USER_DEFINED), normalized=False)
            for index in np.flatnonzero(np.isin(kinds, (_UNKNOWN, _CONTROL, _USER_DEFINED)))
        ]
    )


def _add_ends(
    tokenizer: Tokenizer, metadata: Metadata, special: dict[str, str], begins_by_default: bool
) -> None:
    """Puts the first and the last token of a sequence around texts, if the file asks for them."""
    begins = _value(metadata, "tokenizer.ggml.add_bos_token", bool, begins_by_default)
    ends = _value(metadata, "tokenizer.ggml.add_eos_token", bool, False)
    if begins and "bos_token" not in special:
        raise InputError(
            "texts should begin with a token (tokenizer.ggml.add_bos_token), and the GGUF metadata "
            f"name none (tokenizer.ggml.bos_token_id). {_CONVERT_AGAIN}"
        )
    first = [special["bos_token"]] if begins else []
    last = [special["eos_token"]] if ends else []
    if first or last:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*first, "$A", *last],
            pair=[*first, "$A", *last, *(f"{token}:1" for token in first), "$B:1", *last],
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in set(first + last)],
        )


def _length_limit(metadata: Metadata) -> dict[str, int]:
    """The longest text that the model takes, if the file says so."""
    architecture = _value(metadata, "general.architecture", str, "none")
    limit = _value(metadata, f"{architecture}.context_length", int, None)
    return {} if limit is None else {"model_max_length": limit}
