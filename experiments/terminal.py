"""Print to any terminal: characters that it lacks appear as similar ones, or by their numbers."""

import codecs
import io
import os
import sys

_SIMILAR = {
    **dict.fromkeys("─━╌–—", "-"),  # noqa: RUF001
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("“”„", '"'),
    **dict.fromkeys("‘’", "'"),  # noqa: RUF001
    "±": "+/-",
    "→": "->",
    "…": "...",
    "×": "x",
    "·": "*",
    "µ": "u",
    "≤": "<=",
    "≥": ">=",
}
_HANDLER = "similar_characters"


def print_everything() -> None:
    """Let standard output and standard error take all characters, also where they are closed."""
    codecs.register_error(_HANDLER, _similar)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def discard_output() -> None:
    """Send further output nowhere, after the reader of standard output has gone away."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(nowhere, stream.fileno())


def _similar(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    shown = (
        _SIMILAR.get(character) or character.encode("ascii", "backslashreplace").decode()
        for character in missing
    )
    return "".join(shown), error.end
