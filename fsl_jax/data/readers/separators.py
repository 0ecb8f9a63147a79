"""Find out what separates the values of a CSV or TSV file."""

import csv
import io
from collections.abc import Iterable

CANDIDATES = (",", ";", "\t")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab"}

_SAMPLE = 1 << 16
_ROWS = 100


def found_separator(text: str, usual: str) -> str:
    """Return the separator that gives the most rows as many values as the header has.

    Args:
      text: the contents of a file.
      usual: the separator that is taken if several, or none, divide the header.

    Returns:
      A comma, a semicolon or a tab.
    """
    scores = {each: _agreement(text[:_SAMPLE], each) for each in CANDIDATES}
    best = max(scores.values())
    return usual if scores[usual] == best else max(scores, key=lambda each: scores[each])


def _agreement(text: str, separator: str) -> float:
    """Return the share of rows with as many values as the header; 0 if that has only one."""
    lengths = list(_lengths(csv.reader(io.StringIO(text, newline=""), delimiter=separator)))
    if not lengths or lengths[0] < 2:
        return 0.0
    return sum(length == lengths[0] for length in lengths) / len(lengths)


def _lengths(reader: Iterable[list[str]]) -> Iterable[int]:
    """Yield the number of values of the first rows that are not empty, as far as they are sound."""
    try:
        for count, values in enumerate(reader):
            if count == _ROWS:
                return
            if values:
                yield len(values)
    except csv.Error:
        return
