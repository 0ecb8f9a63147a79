"""Errors that tell a user what was found, what was expected, and what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """An error for user input that cannot be used; the message says why and what to do.

    Scripts print the message without a traceback, so it must be clear on its own.

    Attributes:
      problems: the problems that the message lists; empty if it describes a single problem.
    """

    problems: tuple[str, ...] = ()


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
    nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
    return InputError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}.")


def problems_error(summary: str, problems: Iterable[str]) -> InputError:
    """Return one error that lists all problems of one object, one line each.

    Args:
      summary: the object with the problems, and what to do about them.
      problems: the problems; each is listed once.

    Returns:
      An `InputError` to raise.
    """
    listed = tuple(dict.fromkeys(problems))
    error = InputError("\n".join([summary, *(f"  - {problem}" for problem in listed)]))
    error.problems = listed
    return error
