"""The tokens of answers after prompts."""

import itertools
from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from fsl_jax.errors import InputError
from fsl_jax.models.generation.stopping import all_end_tokens
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tokenizing import prompt_tokens, tokenize

NO_TOKEN = -1
"""The filler after the tokens of an answer that is shorter than others."""


def end_token(pretrained: Pretrained) -> int:
    """Return the token that ends each answer, the tokenizer's if generation ends at it.

    Args:
      pretrained: the model.

    Returns:
      The token id.

    Raises:
      InputError: nothing says which token ends a text.
    """
    known = all_end_tokens(pretrained, (), [])
    if not known:
        raise InputError(
            f"neither the config nor the tokenizer of {pretrained.name} says which token ends a "
            "text, so it cannot learn where an answer ends: add eos_token to its tokenizer's files"
        )
    end = pretrained.tokenizer.eos_token_id
    return end if end in known else known[0]


def tokens_after(
    tokenizer: PreTrainedTokenizerBase, prompt: str, prompt_ids: Sequence[int], continuation: str
) -> tuple[list[int], list[int]]:
    """Tokenise a prompt together with what follows it.

    The tokens of the continuation are those after the longest beginning that is the same with and
    without it. That is the whole prompt, unless the tokenizer joins characters of both in a token.

    Args:
      tokenizer: the model's tokenizer.
      prompt: the text of the prompt.
      prompt_ids: its token ids.
      continuation: the text that follows; it may be empty.

    Returns:
      The token ids of the prompt, of which there is at least one, and those of the continuation.
    """
    (whole,) = prompt_tokens(tokenizer, [prompt + continuation])
    pairs = zip(prompt_ids, whole, strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return whole[: max(shared, 1)], whole[max(shared, 1) :]


def tokens_alone(tokenizer: PreTrainedTokenizerBase, answer: str) -> list[int]:
    """Tokenise an answer that a decoder writes from its start token on."""
    options = {"add_special_tokens": False, "verbose": False}
    ids: list[int] = tokenize(tokenizer, answer, **options)["input_ids"]
    return ids


def answer_array(answers: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the tokens of answers side by side, filled up to the longest, int32 `[S, A]`."""
    filled = np.full((len(answers), max(map(len, answers), default=0) or 1), NO_TOKEN, np.int32)
    for row, ids in zip(filled, answers, strict=True):
        row[: len(ids)] = ids
    return filled
