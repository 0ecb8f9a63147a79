"""Turn texts into tokens, and refuse texts that have none or that a tokenizer cannot read."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fsl_jax.errors import InputError, brief

if TYPE_CHECKING:
    from transformers import BatchEncoding


def tokenize(tokenizer: Any, texts: str | Sequence[str], **options: Any) -> "BatchEncoding":
    """Call a tokenizer on one text or several.

    Args:
      tokenizer: a fast tokenizer of Hugging Face.
      texts: one text, or several.
      options: options of the tokenizer.

    Returns:
      What the tokenizer returns.

    Raises:
      InputError: a text is not made of characters, or the tokenizer fails.
    """
    listed = [texts] if isinstance(texts, str) else list(texts)
    for text in listed:
        require_characters(text)
    problem = f"the tokenizer fails at {_named(listed)}"
    with refusing_errors(problem, "Its files may be damaged: fetch them again."):
        return tokenizer(texts if isinstance(texts, str) else listed, **options)


def prompt_tokens(
    tokenizer: Any, texts: Sequence[str], *, continues: bool = True
) -> list[list[int]]:
    """Tokenize prompts, which a model continues.

    Args:
      tokenizer: a fast tokenizer of Hugging Face.
      texts: the prompts.
      continues: False for the encoder of an encoder-decoder, whose prompts keep the tokens that the
        tokenizer adds at the end.

    Returns:
      The token ids of each prompt, without the tokens that the tokenizer adds at the end.

    Raises:
      InputError: as in `tokenize`.
    """
    # Not verbose: whoever calls this cuts long prompts.
    encoded = tokenize(tokenizer, list(texts), return_special_tokens_mask=True, verbose=False)
    if not continues:
        return encoded["input_ids"]
    masks = encoded["special_tokens_mask"]
    return [
        ids[: len(ids) - _added_at_end(added)]
        for ids, added in zip(encoded["input_ids"], masks, strict=True)
    ]


def require_characters(text: str, source: str = "") -> None:
    """Raise an error for half a surrogate pair, which is no character and has no tokens.

    Args:
      text: the text.
      source: what the text is, for the error; by default the text itself is shown.

    Raises:
      InputError: the text has half a surrogate pair.
    """
    if problem := character_problem(text):
        raise InputError(f"{source or _named([text])} has {problem}")


def character_problem(text: str) -> str:
    """Return the problem with a text that has half a surrogate pair; empty for any other text.

    Args:
      text: the text. JSON and Python can hold such texts, UTF-8 cannot.

    Returns:
      A description that follows "the text has".
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"half a surrogate pair ({text[error.start]!r}) at character {error.start + 1}, which "
            "is no character: remove it"
        )
    return ""


@contextlib.contextmanager
def refusing_errors(problem: str, advice: str) -> Iterator[None]:
    """Turn any error of a tokenizer inside the block into an `InputError`.

    The code of tokenizers that is written in Rust raises panics, which are no `Exception`.

    Args:
      problem: the beginning of the message: the file, and what failed.
      advice: the end of the message: a sentence that says what to do.

    Yields:
      Nothing.

    Raises:
      InputError: the block raised an error or a panic.
    """
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        name = type(error).__name__
        if not isinstance(error, Exception) and name != "PanicException":
            raise
        reason = f"{name}: {error}" if str(error) else name
        raise InputError(f"{problem}: {reason}. {advice}") from error


def _added_at_end(added: Sequence[int]) -> int:
    """Count the tokens at the end of a text that the tokenizer added.

    If it added all tokens, those before an empty text cannot be told from those after it.
    """
    real = [index for index, is_added in enumerate(added) if not is_added]
    return len(added) - 1 - real[-1] if real else 0


def _named(texts: Sequence[str]) -> str:
    if len(texts) != 1:
        return f"one of {len(texts)} texts"
    return f"the text {brief(texts[0])}"
