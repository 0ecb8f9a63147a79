"""Read JSON files: an array of objects, an object with one such array, or questions of SQuAD."""

from pathlib import Path
from typing import Any

from fsl_jax.data.readers.jsonl import read_jsonl
from fsl_jax.data.readers.objects import add_objects
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.squad import is_squad, squad_rows
from fsl_jax.data.readers.text_lines import read_text
from fsl_jax.data.rows import Rows
from fsl_jax.errors import InputError, brief
from fsl_jax.json_reader import parse_json


def read_json_rows(path: Path, options: ReadOptions | None = None) -> Rows:
    """Read the objects of a JSON file.

    A file whose first line is an object of its own is read as JSON Lines, since many of those have
    this suffix.

    Args:
      path: a file in UTF-8, or in the encoding of the options.
      options: how to read it.

    Returns:
      The rows; what is not an object is in `malformed`.

    Raises:
      InputError: there is no such file, or it unfolds to more than it may.
    """
    options = options or ReadOptions()
    rows = Rows(path.name, unit="row")
    text = read_text(path, options, rows)
    if text is None or not text.strip():
        return rows
    if _is_json_lines(text):
        rows = read_jsonl(path, options)
        rows.remarks.append(f"{path.name} was read as JSON Lines, an object on each line.")
        return rows
    try:
        value = parse_json(text, "the file", object)
    except InputError as error:
        rows.malformed.append(str(error))
        return rows
    if is_squad(value):
        return squad_rows(value, rows)
    _add_list(rows, value)
    return rows


def _is_json_lines(text: str) -> bool:
    """Return True if the first line that is not empty is an object, and not the only line."""
    first, _, rest = text.lstrip().partition("\n")
    if not first.startswith("{") or not rest.strip():
        return False
    try:
        parse_json(first, "the first line")
    except InputError:
        return False
    return True


def _add_list(rows: Rows, value: Any) -> None:
    found = value
    if isinstance(value, dict):
        lists = {name: each for name, each in value.items() if _is_list_of_objects(each)}
        if len(lists) == 1:
            ((name, found),) = lists.items()
            rows.remarks.append(f"The rows of {rows.source} are those of {name!r}.")
    if not isinstance(found, list):
        rows.malformed.append(
            "expected a list of objects, or an object with one such list, found "
            f"{_described(value)}"
        )
        return
    for number, each in enumerate(found, start=1):
        if not isinstance(each, dict):
            rows.malformed.append(f"row {number}: expected an object in JSON, found {brief(each)}")
    numbered = [(n, each) for n, each in enumerate(found, start=1) if isinstance(each, dict)]
    add_objects(rows, numbered)


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and value != [] and all(isinstance(e, dict) for e in value)


def _described(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with {brief(list(value), 200)}"
    return brief(value)
