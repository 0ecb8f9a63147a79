r"""Flagfiles: read them into arguments, and write the flags of a script into one.

Each line is one argument, such as `--shots=4`; blanks around it do not count. Empty lines and lines
that begin with `#` or `//` are comments. A line that begins with a quotation mark is a JSON string,
such as `"--output=two\nlines"`, for values with line breaks or with blanks around them. A line
`--flagfile=other.flags` includes another file. Its path is relative to the directory of the file
that includes it; if there is no such file, to the working directory. The text is UTF-8.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from absl import flags

from fsl_jax.errors import InputError
from fsl_jax.files import read_bounded

_MAX_BYTES = 1 << 20
_NAMES = ("--flagfile", "-flagfile")


def expand(arguments: Iterable[str]) -> list[str]:
    """Replace each `--flagfile=PATH` by the arguments in that file.

    Args:
      arguments: the arguments of a script without its name. Those after `--` are kept unchanged.

    Returns:
      The arguments, in order; of a flag that is given several times, the last value counts.

    Raises:
      InputError: a file is missing, is not UTF-8, includes itself, or has a line that cannot be
        read.
    """
    return list(_expand(iter(arguments), ()))


def written(script_flags: Iterable[flags.Flag]) -> str:
    """Write flags with their current values as a flagfile.

    Args:
      script_flags: the flags.

    Returns:
      A line for each value, in alphabetical order of the flags; none for flags without a value.
    """
    lines = []
    for flag in sorted(script_flags, key=lambda flag: flag.name):
        if isinstance(flag, flags.MultiFlag):
            lines += [f"--{flag.name}={value}" for value in flag.value or ()]
        elif text := flag.serialize():
            lines.append(text)
    return "".join(f"{_line(argument)}\n" for argument in lines)


def _expand(arguments: Iterator[str], including: tuple[str, ...]) -> Iterator[str]:
    """Yield arguments; `including` has the real paths of the files that are being read."""
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if name not in _NAMES:
            yield argument
            if argument == "--":
                yield from arguments
            continue
        path = (path if equals else next(arguments, "")).strip()
        if not path or "\0" in path:
            raise InputError(f"--flagfile: expected the path of a file, found {path!r}")
        yield from _read(_located(path, including), including)


def _located(path: str, including: tuple[str, ...]) -> str:
    """Return a path that a flagfile or a user names, relative to the working directory."""
    if path.startswith("~"):
        with contextlib.suppress(RuntimeError):
            path = str(Path(path).expanduser())
    if including:
        beside = Path(including[-1]).parent / path
        # A name that is too long or has half a character; the reader refuses it.
        with contextlib.suppress(OSError, ValueError):
            return str(beside) if beside.exists() else path
    return path


def _read(path: str, including: tuple[str, ...]) -> Iterator[str]:
    """Yield the arguments in a file and in the files that it includes."""
    try:
        data = read_bounded(path, _MAX_BYTES)
    except InputError as error:
        raise InputError(f"--flagfile: {error}") from error
    real = str(Path(path).resolve())
    if real in including:
        raise InputError(f"--flagfile: {path} includes itself, by way of {including[-1]}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"--flagfile: {path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from error
    lines = enumerate(re.split("\r\n|\n|\r", text), start=1)
    arguments = (_argument(line.strip(), f"{path}, line {number}") for number, line in lines)
    yield from _expand((each for each in arguments if each), (*including, real))


def _argument(line: str, where: str) -> str:
    """Return the argument in a line; empty if it has none."""
    if line.startswith(("#", "//")):
        return ""
    if not line.startswith('"'):
        return line
    try:
        argument = json.loads(line)
    except ValueError:
        argument = None
    if not isinstance(argument, str):
        raise InputError(
            f"--flagfile: {where}: a line that begins with a quotation mark has to be a JSON "
            r'string, such as "--template=Text: {text}\nTopic:"'
        )
    return argument


def _line(argument: str) -> str:
    plain = argument == argument.strip() and not re.search("[\r\n]", argument)
    return argument if plain else json.dumps(argument, ensure_ascii=False)
