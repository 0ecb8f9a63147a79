"""Regular expressions that come from users or files: settings of methods, configs of adapters.

Such an expression may take years on a short text, `(a+)+b` for example. So all of them are compiled
and matched here, within limits.
"""

import dataclasses
import functools
import re
import time
import warnings
from collections.abc import Iterable
from typing import Any, Literal

import regex

from fsl_jax.errors import InputError, brief

SECONDS = 0.25
"""The processor time that one expression may take in all of its slow matches, in seconds."""

MAX_LENGTH = 10_000
"""The largest number of characters of an expression."""

_SLOW = 1e-3
# The number of characters of an expression in a message.
_SHOWN = 200
# The library reads these as approximate matching or named sets, which Python's `re` does not have.
_OTHER_MEANING = re.compile(r"(?<!\\)\{\s*[a-zA-Z]|\[\[:")


@dataclasses.dataclass
class _Expression:
    """A compiled expression, and the time that is left for its slow matches.

    Attributes:
      compiled: of the library `regex`, which can stop after a time.
      seconds: the time that is left.
    """

    compiled: Any
    seconds: float = SECONDS


def find(
    pattern: str, text: str, method: Literal["search", "match", "fullmatch"] = "search"
) -> Any | None:
    """Match a regular expression from a file or a user.

    Args:
      pattern: the expression, as for Python's `re`.
      text: the text, such as the path of a leaf.
      method: the function of `re` to use.

    Returns:
      The match, or None.

    Raises:
      InputError: the pattern is not a regular expression, or it takes too long.
    """
    if problem := pattern_problem(pattern):
        raise InputError(f"{brief(pattern, _SHOWN)} is no regular expression: {problem}")
    expression = _compile(pattern)
    function = getattr(expression.compiled, method)
    started, taken = time.thread_time(), 0.0
    while taken <= expression.seconds:
        try:
            match = function(text, timeout=max(expression.seconds - taken, _SLOW))
            taken = time.thread_time() - started
            expression.seconds -= taken if taken > _SLOW else 0
            return match
        # The library counts the time of all threads, so ask again until this one has used it up.
        except (TimeoutError, MemoryError):
            taken = time.thread_time() - started
    expression.seconds = -1.0
    raise InputError(
        f"the regular expression {brief(pattern, _SHOWN)} takes more than {SECONDS} s to be "
        f"matched with {brief(text, _SHOWN)}. Repetitions inside repetitions, such as (a+)+, take "
        "that long: write it without them, or list the names"
    )


def pattern_problem(pattern: str) -> str:
    """Return the reason why a text is no regular expression, or an empty text if it is one."""
    try:
        _compile(pattern)
    except InputError as error:
        return str(error)
    return ""


def require_pattern(setting: str, pattern: str) -> None:
    """Raise an error unless a setting is a regular expression.

    Args:
      setting: the name of the setting, for the error: "ia3's inputs".
      pattern: its value.

    Raises:
      InputError: the value is not a regular expression.
    """
    if problem := pattern_problem(pattern):
        raise InputError(f"{setting} {brief(pattern, _SHOWN)} are no regular expression: {problem}")


def dense_layers(paths: Iterable[str]) -> list[str]:
    """Return the paths of a model's linear layers, except those of a task head.

    Args:
      paths: the paths of all leaves of a parameter tree.

    Returns:
      The paths of the parents of kernels: `layers/attention/query`.
    """
    parents = (path.removesuffix("/kernel") for path in paths if path.endswith("/kernel"))
    return [parent for parent in parents if parent not in ("head", "unembedding")]


@functools.lru_cache(maxsize=4096)
def _compile(pattern: str) -> _Expression:
    if len(pattern) > MAX_LENGTH:
        raise InputError(f"it has {len(pattern):,} characters, and at most {MAX_LENGTH:,} are read")
    if _OTHER_MEANING.search(pattern):
        raise InputError("a letter after { or a class such as [[:alpha:]] has several meanings")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # PEFT uses Python's `re`, whose errors are the ones that users know.
            re.compile(pattern)
        return _Expression(regex.compile(pattern, cache_pattern=False))
    except (re.error, regex.error, Warning, OverflowError, RecursionError, MemoryError) as error:
        raise InputError(str(error) or type(error).__name__) from error
