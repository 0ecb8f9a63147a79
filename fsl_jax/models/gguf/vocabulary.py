"""The vocabulary in the metadata of a GGUF file: tokens, their kinds and their scores."""

import numpy as np

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata, metadata_value

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""The kinds of tokens in `tokenizer.ggml.token_type`."""

LONGEST_TOKEN = 1024
"""The largest number of characters in a token, which bounds the work for each."""

SHOWN_PROBLEMS = 5
"""The maximum number of problems of one kind that a message shows."""


def vocabulary(metadata: Metadata) -> list[str]:
    """Return the tokens in the order of their ids.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokens, which are all different.

    Raises:
      InputError: there are no tokens, a token occurs twice, or a token is too long.
    """
    tokens = metadata_value(metadata, "tokenizer.ggml.tokens", list, [])
    if not tokens:
        raise InputError(
            "the GGUF metadata hold no vocabulary (tokenizer.ggml.tokens). Give a file that was "
            "converted with its tokenizer."
        )
    if twice := len(tokens) - len(set(tokens)):
        raise InputError(f"in the GGUF vocabulary {twice} tokens occur again. {CONVERT_AGAIN}")
    if (longest := max(map(len, tokens))) > LONGEST_TOKEN:
        raise InputError(
            f"the GGUF vocabulary (tokenizer.ggml.tokens) has a token of {longest:,} characters; "
            f"at most {LONGEST_TOKEN:,} are supported. {CONVERT_AGAIN}"
        )
    return tokens


def token_kinds(metadata: Metadata, tokens: list[str]) -> np.ndarray:
    """Return the kind of each token; if the file has no kinds, all are normal."""
    normal = np.full(len(tokens), NORMAL, np.int32)
    kinds = metadata_value(metadata, "tokenizer.ggml.token_type", np.ndarray, normal)
    if kinds.dtype.kind not in "iu":
        raise InputError(
            f"tokenizer.ggml.token_type of the GGUF metadata has numbers of type {kinds.dtype}; "
            f"expected whole numbers. {CONVERT_AGAIN}"
        )
    return _require_one_per_token(kinds, tokens, "token types (tokenizer.ggml.token_type)")


def token_scores(metadata: Metadata, tokens: list[str]) -> np.ndarray:
    """Return the score of each token, which SentencePiece needs; raise an error without scores."""
    scores = metadata_value(metadata, "tokenizer.ggml.scores", np.ndarray, None)
    if scores is None:
        raise InputError(
            "the GGUF metadata hold no scores (tokenizer.ggml.scores), which a vocabulary of "
            "SentencePiece needs. Give a file that was converted with its tokenizer."
        )
    if scores.dtype.kind not in "iuf" or not np.isfinite(scores).all():
        raise InputError(
            "tokenizer.ggml.scores of the GGUF metadata has values that are not finite numbers. "
            f"{CONVERT_AGAIN}"
        )
    return _require_one_per_token(scores, tokens, "scores (tokenizer.ggml.scores)")


def _require_one_per_token(values: np.ndarray, tokens: list[str], what: str) -> np.ndarray:
    if len(values) != len(tokens):
        raise InputError(
            f"the GGUF vocabulary has {len(tokens)} tokens and {len(values)} {what}. "
            f"{CONVERT_AGAIN}"
        )
    return values
