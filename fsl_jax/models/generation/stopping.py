"""End continuations: at tokens, found while decoding, and at strings, found in the text.

A stop string can begin and end inside tokens, and many sequences of tokens can spell it. So the
host looks for it in the text. So that the device need not wait for the host after each token, the
loop runs `CHUNK` steps between two checks. Steps after a stop string are thrown away, at most
`CHUNK - 1` for each continuation. The host tells the loop which rows have ended, and the loop ends
when all rows have.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fsl_jax.models.generation.texts import ContinuationText
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.validation import brief

CHUNK = 16


def all_end_tokens(pretrained: Pretrained, stop_tokens: Any, problems: list[str]) -> list[int]:
    """Return the tokens that end a continuation: the checkpoint's and `stop_tokens`.

    If the checkpoint names none, the tokenizer's end-of-sequence token is used.

    Args:
      pretrained: the model.
      stop_tokens: token ids, or tokens as the vocabulary spells them.
      problems: the list to which problems are added.

    Returns:
      Token ids, each once, in ascending order.
    """
    if isinstance(stop_tokens, str | bytes):
        problems.append(f"stop_tokens is the string {stop_tokens!r}; expected a sequence of tokens")
        return []
    if not isinstance(stop_tokens, Iterable):
        problems.append(f"stop_tokens is {brief(stop_tokens)}; expected a sequence of tokens")
        return []
    tokenizer = pretrained.tokenizer
    ends = set(pretrained.end_tokens)
    if not ends and tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    vocabulary = tokenizer.get_vocab() if any(isinstance(t, str) for t in stop_tokens) else {}
    for token in stop_tokens:
        number = vocabulary.get(token) if isinstance(token, str) else token
        if type(number) is not int or not 0 <= number < pretrained.config.vocab_size:
            problems.append(f"stop_tokens: {token!r} is no token of {pretrained.name}")
        else:
            ends.add(number)
    return sorted(ends)


def stop_length(
    text: ContinuationText,
    tokens: Sequence[int],
    stop: Sequence[str],
    checked: int = 0,
    *,
    skip_blank: bool = False,
) -> int | None:
    """Count the tokens up to the first stop string.

    Args:
      text: decodes the continuation.
      tokens: the tokens of the continuation, from its start.
      stop: the strings.
      checked: the number of leading tokens that are known to contain no stop string.
      skip_blank: as in `has_stop`.

    Returns:
      The smallest number of tokens whose text has a stop string, or None.
    """

    def ends(count: int) -> bool:
        return has_stop(text, tokens[:count], stop, skip_blank=skip_blank)

    if not ends(len(tokens)):
        return None
    return next(filter(ends, range(checked + 1, len(tokens))), len(tokens))


def has_stop(
    text: ContinuationText, tokens: Sequence[int], stop: Sequence[str], *, skip_blank: bool = False
) -> bool:
    """Return True if the text of the tokens contains one of the strings.

    Args:
      text: decodes the continuation.
      tokens: the tokens of the continuation, from its start.
      stop: the strings.
      skip_blank: whether white space at the beginning of the text is passed over.
    """
    return _first_stop(text(tokens), stop, skip_blank) is not None


def cut_at_stop(text: str, stop: Sequence[str], *, skip_blank: bool = False) -> str:
    """Return the text before the first stop string in it.

    Args:
      text: the text.
      stop: the strings.
      skip_blank: as in `has_stop`.
    """
    return text[: _first_stop(text, stop, skip_blank)]


def _first_stop(text: str, stop: Sequence[str], skip_blank: bool) -> int | None:
    """Return the place of the first stop string in a text; None if there is none."""
    begin = len(text) - len(text.lstrip()) if skip_blank else 0
    found = (text.find(string, begin) for string in stop)
    return min((place for place in found if place >= 0), default=None)


def stopped_rows(
    texts: Sequence[ContinuationText],
    tokens: np.ndarray,
    done: np.ndarray,
    lengths: np.ndarray,
    stop: Sequence[str],
    checked: int,
    *,
    skip_blank: bool = False,
) -> dict[int, int]:
    """Find the rows that a stop string has ended, and the number of tokens that each keeps.

    Args:
      texts: decode the continuations, one for each row.
      tokens: int `[R, N]`.
      done: bool `[R]`, True for rows that ended in an earlier chunk.
      lengths: int `[R]`, the number of tokens of each row that count.
      stop: the strings.
      checked: the number of leading tokens that were checked before.
      skip_blank: as in `has_stop`.

    Returns:
      The number of tokens by row; rows without a stop string are left out.
    """
    kept = {
        row: stop_length(
            texts[row],
            tokens[row, : lengths[row]].tolist(),
            stop,
            checked,
            skip_blank=skip_blank,
        )
        for row in np.flatnonzero(~done).tolist()
    }
    return {row: length for row, length in kept.items() if length is not None}
