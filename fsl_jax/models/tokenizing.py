"""Turn texts into tokens, and refuse texts that have none or that a tokenizer cannot read."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fsl_jax.errors import InputError

if TYPE_CHECKING:
    from transformers import BatchEncoding

_SHOWN = 60
"""The number of characters of a text that a message shows."""


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
    try:
        return tokenizer(texts if isinstance(texts, str) else listed, **options)
    except BaseException as error:
        if not is_tokenizer_error(error):
            raise
        raise InputError(
            f"the tokenizer fails at {_named(listed)}: {type(error).__name__}: {error}. Its files "
            "may be damaged: fetch them again."
        ) from error


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
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{source or _named([text])} has half a surrogate pair ({text[error.start]!r}) at "
            f"character {error.start + 1}, which is no character: remove it"
        ) from error


def is_tokenizer_error(error: BaseException) -> bool:
    """Return True for an error of a tokenizer, and False for one that ends the process.

    The code of tokenizers that is written in Rust raises panics, which are no `Exception`.
    """
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


@contextlib.contextmanager
def refusing_panics(source: object) -> Iterator[None]:
    """Raise an `InputError` if a tokenizer cannot be built, in a `with` block.

    Args:
      source: the file, for the error.

    Raises:
      InputError: the block raised an error or a panic.
    """
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        if not is_tokenizer_error(error):
            raise
        raise InputError(
            f"{source}: the tokenizer cannot be built: {type(error).__name__}: {error}. The file "
            "may be damaged: fetch it again."
        ) from error


def _added_at_end(added: Sequence[int]) -> int:
    """Count the tokens at the end of a text that the tokenizer added.

    If it added all tokens, those before an empty text cannot be told from those after it.
    """
    real = [index for index, is_added in enumerate(added) if not is_added]
    return len(added) - 1 - real[-1] if real else 0


def _named(texts: Sequence[str]) -> str:
    if len(texts) != 1:
        return f"one of {len(texts)} texts"
    text = texts[0] if len(texts[0]) <= _SHOWN else texts[0][:_SHOWN] + "…"
    return f"the text {text!r}"
