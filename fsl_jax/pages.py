"""Tables that stand between two marks of a page, in text that people write."""

from pathlib import Path

from fsl_jax.errors import InputError
from fsl_jax.files import write_atomically


def require_marks(page: Path, start: str, end: str) -> None:
    """Raises an error unless a page has both marks once, one after the other.

    Args:
      page: the page.
      start: the mark before the content.
      end: the mark after it.

    Raises:
      InputError: there is no such page, or the marks are not there as expected.
    """
    _around(page, start, end)


def write_between(page: Path, start: str, end: str, content: str) -> None:
    """Replaces what stands between the marks of a page.

    Args:
      page: the page.
      start: the mark before the content, once in the page.
      end: the mark after it, likewise.
      content: lines, the last one without its end.

    Raises:
      InputError: as of `require_marks`; the page stays as it was.
    """
    before, after = _around(page, start, end)
    write_atomically(page, f"{before}{start}\n\n{content}\n\n{end}{after}")


def _around(page: Path, start: str, end: str) -> tuple[str, str]:
    if not page.is_file():
        raise InputError(f"{page}: there is no such page to write a table into")
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(start)
    _, found_end, after = rest.partition(end)
    if not (found and found_end and text.count(start) == text.count(end) == 1):
        raise InputError(
            f"{page}: expected the marks {start} and {end} once each and in that order, found "
            f"{text.count(start)} and {text.count(end)}"
        )
    return before, after
