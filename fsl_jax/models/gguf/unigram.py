"""SentencePiece's unigram language model in GGUF files: the tokenizer model "t5".

T5, mT5 and XLM-RoBERTa use it (https://arxiv.org/abs/1804.10959).
"""

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.character_table import character_steps
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata, metadata_value
from fsl_jax.models.gguf.sentencepiece import SPACE, first_space
from fsl_jax.models.gguf.token_roles import special_tokens
from fsl_jax.models.gguf.tokenizer_parts import add_ends, add_whole_tokens, fast_tokenizer
from fsl_jax.models.gguf.vocabulary import UNKNOWN, token_kinds, token_scores, vocabulary


def unigram_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """Build a tokenizer of SentencePiece's unigram language model.

    Characters are normalised by the table in the file, as in the fast tokenizers of transformers.
    This differs from SentencePiece: combining marks are lost after a character that the table
    replaces, and in scripts that need six bytes or more they are not composed. If two ways to split
    a text are equally likely, rounding decides.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokenizer, with the special tokens of the file.

    Raises:
      InputError: the metadata are incomplete or contradict themselves.
    """
    tokens = vocabulary(metadata)
    kinds, scores = token_kinds(metadata, tokens), token_scores(metadata, tokens)
    unknown = np.flatnonzero(kinds == UNKNOWN)
    if len(unknown) != 1:
        raise InputError(
            f"the GGUF vocabulary has {len(unknown)} tokens of the kind unknown "
            f"(tokenizer.ggml.token_type); expected one. {CONVERT_AGAIN}"
        )
    special = {"unk_token": tokens[unknown[0]], **special_tokens(metadata, tokens)}
    pieces = list(zip(tokens, map(float, scores), strict=True))
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=int(unknown[0]), byte_fallback=False))
    tokenizer.normalizer = _normalizer(metadata, tokens, kinds)
    tokenizer.decoder = decoders.Metaspace(SPACE, prepend_scheme="always")
    add_whole_tokens(tokenizer, tokens, kinds, normalized=True, mask=special.get("mask_token"))
    add_ends(tokenizer, metadata, special, begins=False, ends=True)
    return fast_tokenizer(tokenizer, metadata, special)


def _normalizer(metadata: Metadata, tokens: list[str], kinds: np.ndarray) -> normalizers.Sequence:
    steps = character_steps(metadata)
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
