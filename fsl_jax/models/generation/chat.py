"""Conversations, and the chat template of a tokenizer that makes texts of them.

A chat template is a program that comes with a checkpoint. transformers runs it in the sandbox of
Jinja; here its time, its memory and the length of its text are limited as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fsl_jax.limits import limited
from fsl_jax.models.tokenizing import character_problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = Mapping[str, Any]
"""One message of a chat, with `role` and `content`."""

Prompt = str | Sequence[Message]
"""A text, or the messages of a chat."""

SECONDS = 5.0
"""The most time that a template may take for one conversation."""

MAX_BYTES = 1 << 28
"""The most memory that a template may take for one conversation, in bytes."""

MAX_CHARACTERS = 1 << 24
"""The longest text that a template may return."""

_EXPECTED = 'expected a text or a list of messages, each like {"role": "user", "content": "Hello"}'


def prompt_problem(prompt: Any) -> str | None:
    """Return the problem of a prompt that is neither a text nor a conversation, or None.

    Args:
      prompt: any value.
    """
    if isinstance(prompt, str):
        problem = character_problem(prompt)
        return f"a text with {problem}" if problem else None
    if isinstance(prompt, Mapping):
        return "a single message: a conversation is a list of messages"
    if not isinstance(prompt, Sequence) or isinstance(prompt, bytes):
        return f"a value of type {type(prompt).__name__}: {_EXPECTED}"
    if not prompt:
        return f"a conversation without messages: {_EXPECTED}"
    problems = (_message_problem(number, message) for number, message in enumerate(prompt))
    try:
        return next((problem for problem in problems if problem), None)
    except RecursionError:
        return "a conversation with a message whose values are nested too deeply"


def conversation(prompt: Prompt) -> list[dict[str, Any]]:
    """Return the messages of a prompt; a text is one message of the user.

    Where the content of a message is a list of parts, their texts are joined.
    """
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [{**message, "content": _content(message)} for message in prompt]


def last_text(prompt: Prompt) -> str:
    """Return the text of a prompt's last message."""
    return conversation(prompt)[-1]["content"] or ""


def apply_template(tokenizer: "PreTrainedTokenizerFast", prompt: Prompt) -> str:
    """Return the text that a tokenizer's chat template makes of a prompt.

    Args:
      tokenizer: a tokenizer with a chat template.
      prompt: a prompt without a problem.

    Returns:
      The text, up to where the answer begins.

    Raises:
      ValueError: the template fails, refuses the conversation, or takes too much time or memory.
    """
    messages = conversation(prompt)
    try:
        with limited(SECONDS, MAX_BYTES):
            text = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
    # A template can raise any error.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"the chat template refuses it: {reason[:500]}") from error
    if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
        raise ValueError(f"the chat template gives more than {MAX_CHARACTERS:,} characters")
    if problem := character_problem(text):
        raise ValueError(f"the chat template gives a text with {problem}")
    return text


def _message_problem(number: int, message: Any) -> str | None:
    if not isinstance(message, Mapping):
        kind = type(message).__name__
        return f"a conversation whose message {number} is of type {kind}: {_EXPECTED}"
    for name in ("role", "content"):
        if name not in message and not (name == "content" and message.get("tool_calls")):
            return f"a conversation whose message {number} has no {name!r}: {_EXPECTED}"
    if not isinstance(message["role"], str):
        return f"a conversation whose message {number} has no text as 'role': {_EXPECTED}"
    if not _is_content(message.get("content"), bool(message.get("tool_calls"))):
        return (
            f"a conversation whose message {number} has a 'content' that is neither a text nor a "
            'list of parts like {"type": "text", "text": "Hello"}'
        )
    problems = (character_problem(text) for text in _texts(message))
    problem = next((problem for problem in problems if problem), None)
    return f"a text with {problem}" if problem else None


def _is_content(content: Any, may_lack: bool) -> bool:
    if isinstance(content, list | tuple):
        return all(
            isinstance(part, Mapping)
            and part.get("type", "text") == "text"
            and isinstance(part.get("text"), str)
            for part in content
        )
    return isinstance(content, str) or (content is None and may_lack)


def _content(message: Message) -> str | None:
    content = message.get("content")
    if isinstance(content, list | tuple):
        return "".join(part["text"] for part in content)
    return content


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from (*_texts(key), *_texts(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
