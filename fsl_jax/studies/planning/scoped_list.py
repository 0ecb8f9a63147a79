"""Values of flags that may differ by model and method: `100, smollm2-135m:40, lora:200`."""

import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

from fsl_jax.errors import InputError

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class ScopedValue(Generic[Value]):
    """One entry of a list: a value and its scope.

    Attributes:
      scope: the names of models and methods before the value; empty if the value is for all.
      value: the value.
    """

    scope: tuple[str, ...]
    value: Value

    def applies_to(self, *names: str) -> bool:
        """Return True if every name in the scope is one of these names.

        Args:
          *names: the names of a model and a method, the method's with and without its settings.
        """
        return all(name in names for name in self.scope)


@dataclasses.dataclass(frozen=True)
class ScopedList(Generic[Value]):
    """A list of values, some of them for certain models and methods only.

    Attributes:
      entries: the entries, in order.
    """

    entries: tuple[ScopedValue[Value], ...]

    def values_for(self, *names: str) -> tuple[Value, ...]:
        """Return the values for a model and a method.

        Args:
          *names: the names of the model and the method, the method's with and without settings.

        Returns:
          The values of the entries with the longest scope among those that apply; none if none do.
        """
        fitting = [entry for entry in self.entries if entry.applies_to(*names)]
        longest = max((len(entry.scope) for entry in fitting), default=0)
        return tuple(entry.value for entry in fitting if len(entry.scope) == longest)

    def scope_names(self) -> set[str]:
        """Return all names in the scopes of entries."""
        return {name for entry in self.entries for name in entry.scope}


def parse_scoped_list(text: str, read: Callable[[str], Value], flag: str) -> ScopedList[Value]:
    """Parse a list of values.

    Args:
      text: comma-separated entries, each `value`, `model:value`, `method:value` or
        `model:method:value`; commas and colons in parentheses belong to the entry.
      read: parses one value; a `ValueError` from it becomes an error about the flag.
      flag: the flag's name, for messages.

    Returns:
      The list.

    Raises:
      InputError: an entry is empty or its value cannot be read.
    """
    entries = []
    for entry in split(text, ","):
        *scope, value = (part.strip() for part in split(entry, ":"))
        try:
            entries.append(ScopedValue(tuple(scope), read(value)))
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"--{flag}: cannot read {entry.strip()!r} in {text!r}") from error
    return ScopedList(tuple(entries))


def split(text: str, separator: str) -> list[str]:
    """Split a text at separators outside parentheses.

    Inside parentheses, a parenthesis in a quoted text does not count.

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
