"""What ends a continuation: tokens, found while decoding, and strings, found in the text.

A stop string can begin and end inside tokens and can be written as many sequences of tokens, so it
is looked for in the text, on the host. So that the device need not wait for that after each token,
the loop runs `CHUNK` steps in between: what it does too much is thrown away, and is at most
`CHUNK - 1` steps in a continuation. Rows that have ended are told to the loop, which ends with the
last of them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fsl_jax.models.pretrained import Pretrained

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 16


def end_tokens(
    pretrained: Pretrained, stop_tokens: Sequence[int | str], found: list[str]
) -> list[int]:
    """The tokens that end a continuation: those of the checkpoint, and those given.

    Where the checkpoint names none, the tokenizer's end of sequence ends it.

    Args:
      pretrained: the model.
      stop_tokens: numbers, or tokens as the vocabulary has them.
      found: where faults are added.

    Returns:
      Numbers of tokens, each once, ascending.
    """
    tokenizer = pretrained.tokenizer
    ends = set(pretrained.end_tokens)
    if not ends and tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    vocabulary = tokenizer.get_vocab() if any(isinstance(t, str) for t in stop_tokens) else {}
    for token in stop_tokens:
        number = vocabulary.get(token) if isinstance(token, str) else token
        if number is None or not 0 <= number < pretrained.config.vocab_size:
            found.append(f"stop_tokens: {token!r} is no token of {pretrained.name}")
        else:
            ends.add(number)
    return sorted(ends)


def stop_length(
    tokenizer: "PreTrainedTokenizerFast", tokens: Sequence[int], stop: Sequence[str], known: int = 0
) -> int | None:
    """How many tokens it takes until a text has a stop string in it.

    Args:
      tokenizer: the tokenizer.
      tokens: of a continuation, from its beginning.
      stop: the strings.
      known: so many tokens are known to have none in them.

    Returns:
      The least number of tokens with a stop string in their text, or None if they have none.
    """
    if not has_stop(tokenizer, tokens, stop):
        return None
    lengths = range(known + 1, len(tokens))
    return next((n for n in lengths if has_stop(tokenizer, tokens[:n], stop)), len(tokens))


def has_stop(
    tokenizer: "PreTrainedTokenizerFast", tokens: Sequence[int], stop: Sequence[str]
) -> bool:
    """Whether one of the strings stands in the text of tokens."""
    text = tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
    return any(each in text for each in stop)


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the first stop string in it."""
    places = [place for each in stop if (place := text.find(each)) >= 0]
    return text[: min(places)] if places else text


def stopped_rows(
    tokenizer: "PreTrainedTokenizerFast",
    tokens: np.ndarray,
    done: np.ndarray,
    lengths: np.ndarray,
    stop: Sequence[str],
    known: int,
) -> dict[int, int]:
    """The rows that a stop string has ended, with how many tokens they keep.

    Args:
      tokenizer: the tokenizer.
      tokens: int `[R, N]`.
      done: bool `[R]`, rows that ended in an earlier chunk.
      lengths: int `[R]`, tokens of each row that count.
      stop: the strings.
      known: so many tokens were looked at before.

    Returns:
      Numbers of tokens by row.
    """
    found = {
        row: stop_length(tokenizer, tokens[row, : lengths[row]].tolist(), stop, known)
        for row in np.flatnonzero(~done).tolist()
    }
    return {row: length for row, length in found.items() if length is not None}
