"""Make names of files and directories out of text that a user wrote, such as a model or a method.

A name is safe on every file system: it is short, it is the same in every case and in every Unicode
normal form, and it never leaves its directory. Different texts have different names.
"""

import hashlib
import os
import re
import unicodedata
from pathlib import Path

MAX_BYTES = 80
"""The largest number of bytes in a name. Staging names add up to 40, and file systems allow 255."""

HASH_DIGITS = 12
"""The number of hexadecimal digits of the hash behind a name."""

MAX_PATH_BYTES = 4095 if os.name == "posix" else 259
"""The largest number of bytes in a whole path, as operating systems define it."""

_PLAIN = re.compile(r"[a-z0-9_]([a-z0-9_.=+-]*[a-z0-9_=+-])?")
_HASHED = re.compile(rf".*-[0-9a-f]{{{HASH_DIGITS}}}")
_REPLACED = re.compile(r"[^\w.=+-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])(\..*)?")


def directory_name(text: str, max_bytes: int = MAX_BYTES) -> str:
    """Return the name of a directory for a text, without the separators of paths.

    A plain text, such as `minilm-l6` or `lora+bitfit`, is its own name. Any other text has a hash
    behind what can be kept of it: `lora(rank=4)` becomes `lora_rank=4-` and the hash. A text is
    plain if it is short and has only lower-case letters of English, digits and `_.=+-`. Upper case
    is not plain, since some file systems do not distinguish it.

    Args:
      text: the text, as the user wrote it.
      max_bytes: the largest number of bytes in the name, in UTF-8.

    Returns:
      The name.
    """
    if len(text) <= max_bytes and _is_plain(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]
    shown = _REPLACED.sub("_", unicodedata.normalize("NFC", text)).strip("_.-")
    if _RESERVED.fullmatch(shown.casefold()):
        shown = f"_{shown}"
    return f"{_cut(shown, max_bytes - HASH_DIGITS - 1) or '_'}-{digest}"


def file_system_key(path: str) -> str:
    """Return a text that is the same for paths which a file system may take for the same path."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", path).casefold())


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return the absolute form of a local path, without `..` and without following links."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _is_plain(text: str) -> bool:
    return (
        _PLAIN.fullmatch(text) is not None
        and _RESERVED.fullmatch(text) is None
        # A text that looks like the name of another text would share its directory.
        and _HASHED.fullmatch(text) is None
    )


def _cut(text: str, size: int) -> str:
    """Return the beginning of a text that has at most `size` bytes, without half a character."""
    return text.encode()[:size].decode(errors="ignore").rstrip("_.-")
