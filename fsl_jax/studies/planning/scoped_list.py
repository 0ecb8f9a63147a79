"""Values of flags that may differ by model and method: `100, smollm2-135m:40, lora:200`."""

import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

from fsl_jax.errors import InputError

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Item(Generic[Value]):
    """One entry of a list: a value, and the names of models and methods that it is meant for."""

    keys: tuple[str, ...]
    value: Value

    def applies_to(self, *names: str) -> bool:
        """Whether every key is among the names of a model, a method, or a method with settings."""
        return all(key in names for key in self.keys)


@dataclasses.dataclass(frozen=True)
class ScopedList(Generic[Value]):
    """A list of values, some of them for certain models and methods only.

    Attributes:
      items: the entries, in order.
    """

    items: tuple[Item[Value], ...]

    def of(self, *names: str) -> tuple[Value, ...]:
        """The values for a model and a method.

        Args:
          *names: what the model and the method are called.

        Returns:
          The values of the entries with the most keys among those that apply; none if none do.
        """
        fitting = [item for item in self.items if item.applies_to(*names)]
        most = max((len(item.keys) for item in fitting), default=0)
        return tuple(item.value for item in fitting if len(item.keys) == most)

    def keys(self) -> set[str]:
        """All names that entries are meant for."""
        return {key for item in self.items for key in item.keys}


def parse_scoped_list(text: str, read: Callable[[str], Value], flag: str) -> ScopedList[Value]:
    """Reads a list of values.

    Args:
      text: entries with commas between them, each `value`, `model:value`, `method:value` or
        `model:method:value`; commas and colons in parentheses belong to the entry.
      read: reads one value; a `ValueError` of it is an error of the flag.
      flag: the flag's name, for messages.

    Returns:
      The list.

    Raises:
      InputError: an entry is empty or its value cannot be read.
    """
    items = []
    for entry in split(text, ","):
        *keys, value = (part.strip() for part in split(entry, ":"))
        try:
            items.append(Item(tuple(keys), read(value)))
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"--{flag}: cannot read {entry.strip()!r} in {text!r}") from error
    return ScopedList(tuple(items))


def split(text: str, separator: str) -> list[str]:
    """Splits a text at separators that stand outside parentheses, in which texts may be quoted.

    Args:
      text: the text.
      separator: one character.

    Returns:
      The parts.
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif depth and character in "'\"":
            quote = character
        else:
            depth += {"(": 1, ")": -1}.get(character, 0)
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
