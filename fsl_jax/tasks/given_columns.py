"""The columns of roles, as a user writes them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fsl_jax.errors import InputError, brief
from fsl_jax.json_reader import parse_json


def parse_columns(text: str) -> dict[str, tuple[str, ...]]:
    """Read which column plays which role.

    Args:
      text: pairs such as `text:review,label:stars`, in which `+` joins several columns of a role:
        `text:premise+hypothesis`. Names with a comma, a colon or a plus sign need a JSON object
        instead, such as `{"text": "review: body", "label": ["topic", "urgency"]}`.

    Returns:
      The columns of each role, in the order of the text; empty for an empty text.

    Raises:
      InputError: the text cannot be read so.
    """
    if text.lstrip().startswith("{"):
        return {role: _names(role, names) for role, names in parse_json(text, "columns").items()}
    found: dict[str, tuple[str, ...]] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        role, colon, names = pair.partition(":")
        columns = tuple(name.strip() for name in names.split("+"))
        if not colon or not role.strip() or not all(columns):
            raise InputError(
                f"columns: {brief(pair)} is no role with its columns: expected pairs such as "
                "text:review,label:stars, or text:premise+hypothesis for several columns"
            )
        if role.strip() in found:
            raise InputError(
                f"columns: the role {role.strip()!r} is given twice: join its columns by +"
            )
        found[role.strip()] = columns
    return found


def with_usual_roles(
    columns: Mapping[str, str | Sequence[str]], text_column: str, label_column: str
) -> dict[str, str | Sequence[str]]:
    """Add the columns of the two roles that most tasks have.

    Args:
      columns: the columns of roles.
      text_column: the column of the role `text`; empty for none.
      label_column: the column of the role `label`; empty for none.

    Returns:
      The columns of all roles.

    Raises:
      InputError: a role is given twice.
    """
    others = {"text": text_column, "label": label_column}
    added = {role: column for role, column in others.items() if column}
    for role in added:
        if role in columns:
            raise InputError(
                f"the column of the role {role!r} is given twice: by {role}_column and by columns"
            )
    return {**columns, **added}


def _names(role: str, names: Any) -> tuple[str, ...]:
    listed = names if isinstance(names, list) else [names]
    if not listed or not all(isinstance(name, str) and name for name in listed):
        raise InputError(
            f"columns: {role!r} has {brief(json.dumps(names))}: expected the name of a column, or "
            "a list of names"
        )
    return tuple(listed)
