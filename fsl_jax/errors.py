"""Errors that tell a user what was found, what was expected, and what to do."""

import difflib
import itertools
import re
from collections.abc import Iterable
from typing import Any

MAX_MESSAGE = 4000
"""The largest number of characters in a message; the middle of a longer one is left out."""

MAX_PROBLEMS = 1000
"""The largest number of problems that an error takes."""

# The names that resemble a long one take long to find.
_LONGEST_NAME = 100
# Python refuses to write out much larger numbers.
_MOST_BITS = 256


class InputError(ValueError):
    """An error for user input that cannot be used; the message says why and what to do.

    Scripts print the message without a traceback, so it must be clear on its own.

    Attributes:
      problems: the problems that the message lists; empty if it describes a single problem.
    """

    problems: tuple[str, ...] = ()

    def __init__(self, message: object = ""):
        super().__init__(_cut(str(message)))


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for an unknown name; it suggests the most similar known names.

    Args:
      kind: the kind of name, in the singular: "method", "dataset".
      name: the unknown name.
      known: all names that are accepted.

    Returns:
      An `InputError` to raise.
    """
    known = sorted(known)
    nearest = nearest_names(name, known)
    hint = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
    return InputError(
        f"unknown {kind} {brief(name, _LONGEST_NAME)}.{hint} Known: {', '.join(known)}."
    )


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that a user may have meant, best first, three at most.

    Args:
      name: an unknown name.
      known: the names that are accepted.

    Returns:
      The names that differ only in case. If there are none, those whose words begin with the
      letters of the name, as in `lr` for `learning_rates`, and those that look similar.
    """
    folded = {each.casefold(): each for each in known}
    name = str(name)[:_LONGEST_NAME].casefold()
    if name in folded:
        return [folded[name]]
    abbreviated = [each for each in folded if "".join(re.findall(r"(?<![^\W_])\w", each)) == name]
    similar = difflib.get_close_matches(name, folded, n=3, cutoff=0.5)
    return [folded[each] for each in dict.fromkeys([*abbreviated, *similar])][:3]


def problems_error(summary: str, problems: Iterable[str]) -> InputError:
    """Return one error that lists all problems of one object, one line each.

    Args:
      summary: the object with the problems, and what to do about them.
      problems: the problems; each is listed once, and those after `MAX_PROBLEMS` are left out.

    Returns:
      An `InputError` to raise.
    """
    listed = tuple(dict.fromkeys(map(_cut, itertools.islice(problems, MAX_PROBLEMS))))
    error = InputError("\n".join([summary, *(f"  - {problem}" for problem in listed)]))
    error.problems = listed
    return error


def brief(value: Any, most: int = 60) -> str:
    """Return the `repr` of a value for a message.

    Args:
      value: the value.
      most: the largest number of characters; a longer text is cut.

    Returns:
      The text.
    """
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"a number of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def _cut(message: str) -> str:
    """Leave out the middle of a message that is longer than `MAX_MESSAGE`."""
    if len(message) <= MAX_MESSAGE:
        return message
    half = MAX_MESSAGE // 2 - 40
    left_out = len(message) - 2 * half
    return f"{message[:half]}\n  … {left_out:,} characters are left out …\n{message[-half:]}"
