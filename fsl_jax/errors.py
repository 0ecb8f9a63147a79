"""Errors that tell a user what was found, what was expected, and what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something that the user gave cannot be used; the message says why and what to do.

    Scripts print it without a traceback, so the message has to stand on its own.

    Attributes:
      found: the faults that the message lists; empty where it tells of one thing only.
    """

    found: tuple[str, ...] = ()


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


def faults(summary: str, found: Iterable[str]) -> InputError:
    """One error for all faults of one thing, a line each, so that they can be mended at once.

    Args:
      summary: what is wrong with what, and what to do about it.
      found: the faults, of which each is told once.

    Returns:
      An `InputError` to raise.
    """
    told = tuple(dict.fromkeys(found))
    error = InputError("\n".join([summary, *(f"  - {fault}" for fault in told)]))
    error.found = told
    return error
