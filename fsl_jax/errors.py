"""Errors that tell a user what was found, what was expected, and what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something that the user gave cannot be used; the message says why and what to do.

    Scripts print it without a traceback, so the message has to stand on its own.

    Attributes:
      problems: those that the message lists; empty where it names one only.
    """

    problems: tuple[str, ...] = ()


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not among the known ones, with the nearest of them first.

    Args:
      kind: what the name should have been, in the singular: "method", "dataset".
      name: the name that was given.
      known: all names that would have been accepted.

    Returns:
      An `InputError` to raise.
    """
    known = sorted(known)
    nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
    return InputError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}.")


def problems_error(summary: str, problems: Iterable[str]) -> InputError:
    """Return one error that lists all problems of one thing, a line each.

    Args:
      summary: what is wrong with what, and what to do about it.
      problems: what is wrong; each is listed once.

    Returns:
      An `InputError` to raise.
    """
    listed = tuple(dict.fromkeys(problems))
    error = InputError("\n".join([summary, *(f"  - {problem}" for problem in listed)]))
    error.problems = listed
    return error
