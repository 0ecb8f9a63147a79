"""Tables that stand between two marks of a page."""

from pathlib import Path

from absl import app


def write_between(page: Path, start: str, end: str, content: str) -> None:
    """Replaces what stands between the marks of a page.

    Args:
      page: the page.
      start: the line before the content, once in the page.
      end: the line after it, likewise.
      content: lines, each with its end.

    Raises:
      UsageError: a mark is missing, or is there more than once; the page stays as it was.
    """
    text = page.read_text()
    if text.count(start) != 1 or text.count(end) != 1:
        raise app.UsageError(f"--page={page}: expected the lines {start} and {end}, once each.")
    before, rest = text.split(start)
    page.write_text(f"{before}{start}\n\n{content}\n{end}{rest.split(end)[1]}")
