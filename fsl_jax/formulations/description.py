"""The fields of formulations that describe them, as JSON values."""

import dataclasses
import functools
import typing
from typing import Any

_OF_THE_MODEL = ("pretrained", "reserved_positions")
"""The fields that depend on the model that is asked, and on its adaptation."""


@functools.cache
def description_class(kind: Any) -> type:
    """Return a dataclass whose annotations are those of a description's values.

    Args:
      kind: the class of a formulation, whose `described_as` has the annotations of fields that are
        no JSON values themselves.

    Returns:
      A dataclass with the fields that describe such a formulation.
    """
    hints = typing.get_type_hints(kind) | {"max_length": int} | kind.described_as
    return dataclasses.make_dataclass("Description", [(name, hints[name]) for name in _names(kind)])


def field_values(formulation: Any) -> dict[str, Any]:
    """Return the values of the fields that describe a formulation, with lists for tuples."""
    values = {name: getattr(formulation, name) for name in _names(type(formulation))}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def _names(kind: Any) -> list[str]:
    """Return the arguments of a formulation's class by which it is described."""
    fields = [field for field in dataclasses.fields(kind) if field.init]
    return [field.name for field in fields if field.name not in _OF_THE_MODEL]
