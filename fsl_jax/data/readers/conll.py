"""Read columns in the layout of the CoNLL shared tasks: a word on each line, and its tag.

Tjong Kim Sang and De Meulder 2003, https://aclanthology.org/W03-0419.
"""

import dataclasses
import re
from pathlib import Path

from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.text_lines import numbered_lines, read_text
from fsl_jax.data.rows import Row, Rows
from fsl_jax.errors import brief

COLUMNS = ("tokens", "tags")

_DOCUMENT = "-DOCSTART-"
_TAG = re.compile(r"O|[BIESLUM]-\S+")
_LOOKED_AT = 100
_LONGEST_LOOKED_AT = 10_000
_SPACES = re.compile(r"[ \t]+")


def read_conll(path: Path, options: ReadOptions | None = None) -> Rows:
    """Read sentences, between which there are lines without text.

    The first column of a line is the word and the last one its tag. Tabs separate the columns if
    the first line has one, else spaces do. Lines that begin with `-DOCSTART-`, and comments (`# …`
    before a sentence), are skipped.

    Args:
      path: the file.
      options: its encoding, or that it is to be found out.

    Returns:
      A row for each sentence, with the lists `tokens` and `tags`. Lines with another number of
      columns than the first one are in `malformed`, and their sentences are left out.

    Raises:
      InputError: there is no such file, or it unfolds to more than it may.
    """
    rows = Rows(path.name, unit="line")
    text = read_text(path, options or ReadOptions(), rows)
    return rows if text is None else conll_rows(text, rows)


def conll_rows(text: str, rows: Rows) -> Rows:
    """Add the sentences of a text to rows, as `read_conll` does, and return these."""
    layout = _layout(text)
    sentence: list[tuple[int, str, str]] = []
    sound, last = True, 0
    for number, line in [*numbered_lines(text, rows), (0, "")]:
        # A line that cannot be used is left out, and may have had a word of the sentence.
        sound, last = sound and number <= last + 1, number
        if not line.strip():
            if sentence and sound:
                rows.rows.append(_row(sentence))
            sentence, sound = [], True
            continue
        if line.startswith(_DOCUMENT) or (not sentence and layout.is_comment(line)):
            continue
        columns = layout.columns(line)
        problem = layout.problem(columns)
        sound = sound and not problem
        if problem:
            rows.malformed.append(f"line {number}: {problem}")
        sentence.append((number, columns[0], columns[-1]))
    if layout.width:
        rows.columns = COLUMNS
    return rows


def looks_like_conll(text: str) -> bool:
    """Return True if the first lines all have as many columns, the last of which is a tag."""
    layout = _layout(text)
    first = text.split("\n", _LOOKED_AT)[:_LOOKED_AT]
    lines = [line for line in first if line.strip() and len(line) <= _LONGEST_LOOKED_AT]
    rows = [layout.columns(line) for line in lines if not line.startswith(_DOCUMENT)]
    return layout.width > 1 and all(
        len(columns) == layout.width and _TAG.fullmatch(columns[-1]) for columns in rows
    )


@dataclasses.dataclass(frozen=True)
class _Layout:
    """The way in which the lines of a file are divided.

    Attributes:
      has_tabs: True if tabs separate columns, False if spaces do.
      width: the number of columns; 0 if the file has no words.
    """

    has_tabs: bool
    width: int

    def columns(self, line: str) -> list[str]:
        """Return the columns of a line, at least one."""
        if self.has_tabs:
            return [column.strip(" ") for column in line.rstrip("\r\n").split("\t")]
        return _SPACES.split(line.strip(" \t\r\n"))

    def problem(self, columns: list[str]) -> str | None:
        """Describe what is wrong with the columns of a line; None if nothing is."""
        if len(columns) < 2:
            return f"expected a word and its tag, found {brief(columns[0])}"
        if len(columns) != self.width:
            return f"{len(columns)} columns where the first line has {self.width}"
        if not columns[0] or not columns[-1]:
            return f"an empty {'tag' if columns[0] else 'word'} in {brief(columns)}"
        return None

    def is_comment(self, line: str) -> bool:
        """Return True for a line such as `# id = 3`, which is no word `#` with its tag."""
        columns = self.columns(line)
        is_word = self.problem(columns) is None and _TAG.fullmatch(columns[-1])
        return line.startswith("# ") and not is_word


def _layout(text: str) -> _Layout:
    """Return the layout of the first line with a word that is no comment."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)]
        if line.strip() and not line.startswith((_DOCUMENT, "# ")):
            layout = _Layout("\t" in line.strip(" "), 0)
            return dataclasses.replace(layout, width=len(layout.columns(line)))
        start = end + 1 if end >= 0 else len(text)
    return _Layout(False, 0)


def _row(sentence: list[tuple[int, str, str]]) -> Row:
    numbers, tokens, tags = zip(*sentence, strict=True)
    return Row(numbers[0], {"tokens": list(tokens), "tags": list(tags)})
