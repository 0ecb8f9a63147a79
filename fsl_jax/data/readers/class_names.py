"""Put the names of classes in the place of their numbers, also inside lists and fields.

`Names` mirrors the values of a column: a tuple has the names of classes, a list of one element is
for each element of a list, a dict has what its fields need, and None stands for other values.
"""

from collections.abc import Mapping
from typing import Any

from fsl_jax.errors import InputError

Names = tuple[str, ...] | list[Any] | dict[str, Any] | None

_UNREADABLE = {"Image", "Audio", "Video", "Pdf", "Nifti", "Mesh"}


def names_in(features: Any, source: object, column: str) -> Names:
    """Return the names of classes in the features that `datasets` gives a column.

    Args:
      features: the features as JSON: `{"_type": "ClassLabel", "names": […]}`, or what holds it.
      source: the file or data set, for the error.
      column: the column.

    Returns:
      The names.

    Raises:
      InputError: a class label has no names, or names that cannot be told from each other.
    """
    if isinstance(features, list) and len(features) == 1:
        return _of_elements(names_in(features[0], source, column))
    if not isinstance(features, Mapping):
        return None
    kind = features.get("_type")
    if kind == "ClassLabel":
        return _checked(features.get("names"), source, column)
    if isinstance(kind, str):
        return _of_elements(names_in(features.get("feature"), source, column))
    fields = {name: names_in(each, source, column) for name, each in features.items()}
    return fields if any(fields.values()) else None


def holds_no_text(features: Any) -> bool:
    """Return True for features such as pictures, which are no values that can be read."""
    return isinstance(features, Mapping) and features.get("_type") in _UNREADABLE


def with_names(value: Any, names: Names) -> Any:
    """Return a value with names of classes in the place of numbers.

    Args:
      value: the value; -1 is how `datasets` writes a missing label.
      names: where the classes are.

    Returns:
      The value; None for a missing label.

    Raises:
      ValueError: there is no such class.
    """
    if names is None or value is None:
        return value
    if isinstance(names, tuple):
        return _name(value, names)
    if isinstance(names, list):
        (inner,) = names
        # A sequence of fields is kept as fields of sequences.
        if isinstance(value, Mapping) and isinstance(inner, dict):
            return with_names(value, {name: [each] for name, each in inner.items()})
        return [with_names(each, inner) for each in value] if isinstance(value, list) else value
    if isinstance(value, Mapping):
        return {name: with_names(each, names.get(name)) for name, each in value.items()}
    return value


def _of_elements(names: Names) -> Names:
    return None if names is None else [names]


def _checked(names: Any, source: object, column: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{source}: the classes of column {column!r} have no list of names")
    if len({name.strip() for name in names}) < len(names):
        raise InputError(f"{source}: two classes of column {column!r} have the same name")
    return tuple(names)


def _name(value: Any, names: tuple[str, ...]) -> str | None:
    if value == -1:
        return None
    if not isinstance(value, int) or not 0 <= value < len(names):
        raise ValueError(f"class {value!r}, and the schema names classes 0 to {len(names) - 1}")
    return names[value]
