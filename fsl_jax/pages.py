"""Write tables between two marks of a page that is otherwise written by hand."""

from pathlib import Path

from fsl_jax.errors import InputError
from fsl_jax.files import write_atomically


def require_marks(page: Path, start: str, end: str) -> None:
    """Raise an error unless a page has both marks exactly once and in order.

    Args:
      page: the page.
      start: the mark before the content.
      end: the mark after it.

    Raises:
      InputError: the page is missing, or its marks are not as expected.
    """
    _around(page, start, end)


def write_between(page: Path, start: str, end: str, content: str) -> None:
    """Replace the content between the marks of a page.

    Args:
      page: the page.
      start: the mark before the content, once in the page.
      end: the mark after it, also once in the page.
      content: the lines of the content, without a line break at the end.

    Raises:
      InputError: as in `require_marks`; the page is unchanged.
    """
    before, after = _around(page, start, end)
    write_atomically(page, f"{before}{start}\n\n{content}\n\n{end}{after}")


def _around(page: Path, start: str, end: str) -> tuple[str, str]:
    """Return the text before the first mark and after the second mark."""
    if not page.is_file():
        raise InputError(f"{page}: there is no such page to write a table into")
    text = page.read_text(encoding="utf-8")
    before, start_mark, rest = text.partition(start)
    _, end_mark, after = rest.partition(end)
    if not (start_mark and end_mark and text.count(start) == text.count(end) == 1):
        raise InputError(
            f"{page}: expected the marks {start} and {end} once each and in that order, found "
            f"{text.count(start)} and {text.count(end)}"
        )
    return before, after
