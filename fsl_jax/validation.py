"""Check values that were read from JSON against the annotations of a dataclass.

Pydantic checks in its strict mode and reports all problems at once. Only the form of values may
change: a whole number for a `float` becomes a float, a list becomes a tuple if the annotation says
tuple, and a scalar of NumPy or JAX becomes a Python number. Numbers must be finite.
"""

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
from pydantic_core import ErrorDetails

from fsl_jax.errors import InputError, brief

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "an object with names for keys",
    "list_type": "a list",
    "tuple_type": "a list",
}
"""The message for each type of error that pydantic reports."""


def checked_fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields in the form that its annotations require.

    Annotations may be `str`, `bool`, `int`, `float`, one of these or None, `Any` for any JSON
    value, `dict` and `list` of these, and a `tuple` of these or of a `NamedTuple`.

    Args:
      kind: the dataclass.
      values: a value for each field by name; the other values are ignored.

    Returns:
      The values by name, in the order of the fields.

    Raises:
      InputError: values are missing or do not match the annotations; the error lists all problems.
    """
    try:
        checked = _model(kind).model_validate(dict(values))
    except pydantic.ValidationError as error:
        problems = tuple(dict.fromkeys(map(_problem, error.errors(include_url=False))))
        refused = InputError("; ".join(problems))
        refused.problems = problems
        raise refused from error
    return dict(checked)


@functools.cache
def _model(kind: type) -> type[pydantic.BaseModel]:
    """Return a pydantic model with the fields of a dataclass."""
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    fields: dict[str, Any] = {name: (_with_plain_values(hints[name]), ...) for name in names}
    config = pydantic.ConfigDict(strict=True, protected_namespaces=())
    return pydantic.create_model(kind.__name__, __config__=config, **fields)


def _with_plain_values(hint: Any) -> Any:
    """Return the annotation of a field for values that may have NumPy's scalars, and tuples."""
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        if names := getattr(item, "_fields", None):
            check = functools.partial(_require_items, names)
            item = Annotated[item, pydantic.BeforeValidator(check)]
        # In strict mode, pydantic does not accept a list for a tuple, and JSON has only lists.
        hint = Annotated[tuple[item, ...], pydantic.Strict(False)]
    return Annotated[hint, pydantic.BeforeValidator(_plain)]


def _plain(value: Any) -> Any:
    """Return a value with only JSON types, or raise a ValueError that says why it cannot."""
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise ValueError(f"expected an object with names for keys, found {brief(value)}")
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if not isinstance(value, float):
        raise ValueError(f"expected a number, found {brief(value)}")
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number (null where there is none), found {value}")
    return value


def _require_items(names: tuple[str, ...], value: Any) -> Any:
    """Raise an error unless a value is a list with an item for each name."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list, found {brief(value)}")
    if len(value) != len(names):
        raise ValueError(f"expected [{', '.join(names)}], found {brief(value)}")
    return value


def _problem(error: ErrorDetails) -> str:
    """Turn a pydantic error into a problem that names the field."""
    name = error["loc"][0]
    if error["type"] == "missing":
        return f"{name}: missing"
    if error["type"] == "value_error":
        return f"{name}: {error['ctx']['error']}"
    expected = _EXPECTED.get(error["type"])
    reason = f"expected {expected}" if expected else error["msg"]
    return f"{name}: {reason}, found {brief(error['input'])}"
