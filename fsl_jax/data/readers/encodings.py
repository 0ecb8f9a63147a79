"""Decode text files, and find out their encoding."""

import codecs
import re

GUESSED = (
    "gb18030",
    "big5",
    "cp932",
    "euc_jp",
    "euc_kr",
    "cp949",
    "cp1250",
    "cp1251",
    "cp1252",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "koi8_r",
)
"""The encodings among which a guess is made: few, since short texts could be any of many."""

_PREFERRED = ("cp1252", "euc_kr")
"""The encodings that are taken first where several fit."""

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_IMPLAUSIBLE = {
    # Symbols beside letters.
    "cp1252": re.compile(r"[^\W\d_][¡-¿]|[¡-¿][^\W\d_]"),
    "euc_kr": _CHINESE,
    "cp949": _CHINESE,
}
"""Characters that speak against an encoding if they are in the text, and others fit."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    # The marks of UTF-32 come first, since that of UTF-16 is the beginning of one of them.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

_BEGINNING = 4096
_SAMPLE = 1 << 16
_CHARACTER = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)


def marked_encoding(content: bytes) -> str | None:
    """Return the encoding that a byte order mark at the beginning tells; None without one."""
    return next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)


def decode(content: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Decode the contents of a text file.

    Args:
      content: the contents.
      encoding: the encoding, or None to find it out: by the byte order mark; UTF-16 without a mark
        by its null bytes; UTF-8 if that is possible; else one of `GUESSED`.

    Returns:
      The text, and the name of its encoding, which is "utf-8" with and without a mark.

    Raises:
      ValueError: the contents are not in this encoding, or no encoding could be found out; the
        message begins with the line.
    """
    name = encoding or marked_encoding(content) or _without_mark(content) or "utf-8"
    if codecs.lookup(name).name == "utf-8":
        name = "utf-8-sig"
    try:
        return content.decode(name), "utf-8" if name == "utf-8-sig" else name
    except UnicodeDecodeError as error:
        problem = error
    may_guess = encoding is None and name == "utf-8-sig" and not _is_damaged_utf8(content)
    if may_guess and (guess := _guess(content)) is not None:
        return guess
    line = content[: problem.start].count(b"\n") + 1
    shown = "UTF-8" if name == "utf-8-sig" else name
    raise ValueError(f"line {line}: not {shown} ({problem.reason}); encoding may name another")


def _without_mark(content: bytes) -> str | None:
    """Return the byte order of UTF-16 if there are null bytes, and most in one of two places."""
    beginning = content[:_BEGINNING]
    even, odd = beginning[::2].count(0), beginning[1::2].count(0)
    if max(even, odd) < max(2, len(beginning) / 100) or min(even, odd) > max(even, odd) / 8:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_damaged_utf8(content: bytes) -> bool:
    """Return True if more bytes beyond ASCII belong to UTF-8 characters than do not."""
    beyond = sum(1 for byte in content[: 16 * _SAMPLE] if byte > 127)
    return 2 * sum(map(len, _CHARACTER.findall(content[: 16 * _SAMPLE]))) > beyond


def _guess(content: bytes) -> tuple[str, str] | None:
    """Return the text and the encoding that fits best; None if none fits the whole file."""
    from charset_normalizer import from_bytes

    matches = from_bytes(_telling_lines(content), cp_isolation=list(GUESSED))
    best = [match for match in matches if match.chaos == matches[0].chaos]
    # A short text fits several encodings. Those that give the same text are one match.
    fitting = {name for match in best for name in match.could_be_from_charset}
    usual = [name for name in _PREFERRED if name in fitting]
    texts = {name: _decoded(content, name) for name in [*usual, *(m.encoding for m in best)]}
    guesses = [(text, name) for name, text in texts.items() if text is not None]
    plausible = [
        (text, name)
        for text, name in guesses
        if name not in _IMPLAUSIBLE or not _IMPLAUSIBLE[name].search(text)
    ]
    return next(iter([*plausible, *guesses]), None)


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _telling_lines(content: bytes) -> bytes:
    """Return the first lines with bytes beyond ASCII, which tell encodings from each other."""
    lines, size = [], 0
    for line in content.split(b"\n"):
        if not line.isascii():
            lines.append(line)
            size += len(line)
        if size > _SAMPLE:
            break
    return b"\n".join(lines)[: 4 * _SAMPLE]
