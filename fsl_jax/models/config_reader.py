"""Read a model's sizes from its config, and report all problems in one error."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from fsl_jax.errors import brief, problems_error
from fsl_jax.ranges import MAX_INT32

# Beyond these, float32 has 0 or infinity.
_LEAST, _MOST = (float(limit) for limit in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))
_MARGIN = 2


class ConfigReader:
    """A reader of a config's fields, which collects their problems until `finish` is called.

    Without a default, a field must be present. A field that is null counts as absent.
    """

    def __init__(
        self,
        source: str,
        values: Mapping[str, Any],
        tensors: Collection[str] = (),
        aliases: Mapping[str, str] | None = None,
    ):
        """Create a reader.

        Args:
          source: the config's file, for errors.
          values: the values by name.
          tensors: the names of the checkpoint's tensors, or the tensors by name. They limit the
            sizes that the config may have.
          aliases: other names of fields, by name.
        """
        self._source = source
        self._values = values
        self._aliases = aliases or {}
        self._problems: list[str] = []
        stored = tensors if isinstance(tensors, Mapping) else None
        self._most_layers = MAX_INT32 if stored is None else len(stored)
        shapes = [tensor.shape for tensor in (stored or {}).values()]
        axes = [size for shape in shapes if 0 not in shape for size in shape]
        # A config that fits nearly is refused later, with the shapes that do not fit.
        self._largest_axis = _MARGIN * max(axes) if axes else MAX_INT32

    def integer(
        self, name: str, default: int | None = None, most: int = MAX_INT32, limit: str = ""
    ) -> int:
        """Return a whole number above 0.

        Args:
          name: the field.
          default: the value if the field is absent.
          most: the largest value.
          limit: the reason for that limit, for the error.

        Returns:
          The number.
        """
        value = self._value(name, default)
        if isinstance(value, bool) or not hasattr(value, "__index__") or value <= 0:
            self.problem(name, value, "a whole number above 0")
            return 1
        if value > most:
            self.problem(name, value, f"at most {most:,}{limit}")
            return 1
        return int(value)

    def size(self, name: str, default: int | None = None) -> int:
        """Return the size of an axis of weights, which the checkpoint's tensors limit."""
        return self.integer(name, default, self._largest_axis, " for tensors of these sizes")

    def layers(self, name: str, default: int | None = None) -> int:
        """Return the number of layers; the checkpoint has at least one tensor for each."""
        return self.integer(name, default, self._most_layers, ", the number of tensors")

    def count(self, name: str, default: int | None = None) -> int:
        """Return a whole number, which may be 0."""
        value = self._value(name, default)
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
            self.problem(name, value, "a whole number, 0 or more")
            return 0
        if value > MAX_INT32:
            self.problem(name, value, f"at most {MAX_INT32:,}")
            return 0
        return int(value)

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number above 0."""
        value = self._value(name, default)
        if isinstance(value, bool) or not hasattr(value, "__float__") or not value > 0:
            self.problem(name, value, "a number above 0")
            return 1.0
        if not _LEAST <= value <= _MOST:
            self.problem(name, value, f"a number from {_LEAST:.2g} to {_MOST:.2g}")
            return 1.0
        return float(value)

    def texts(self, name: str) -> list[str] | None:
        """Return a list of texts; None if the field is absent."""
        value = self._value(name, None)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.problem(name, value, "a list of texts")
            return None
        return value

    def object(self, name: str) -> dict[str, Any]:
        """Return an object with names for its values; it is empty if the field is absent."""
        value = self._value(name, None)
        if value is not None and not isinstance(value, dict):
            self.problem(name, value, "an object")
        return value if isinstance(value, dict) else {}

    def optional_integer(self, name: str, absent: int | None = None) -> int | None:
        """Return a whole number above 0; None for a null field, `absent` for an absent one."""
        value = self._values.get(name, absent)
        return None if value is None else self.integer(name, absent)

    def optional_size(self, name: str, absent: int | None = None) -> int | None:
        """Return the size of an axis; None for a null field, `absent` for an absent one."""
        value = self._values.get(name, absent)
        return None if value is None else self.size(name, absent)

    def optional_number(self, name: str, absent: float | None = None) -> float | None:
        """Return a number above 0; None for a null field, `absent` for an absent one."""
        value = self._values.get(name, absent)
        return None if value is None else self.number(name, absent)

    def flag(self, name: str, default: bool) -> bool:
        """Return True or False."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            self.problem(name, value, "true or false")
        return bool(value)

    def expect(self, name: str, *supported: Any) -> None:
        """Record a problem unless the field is absent or has one of the supported values."""
        value = self._value(name, supported[0])
        if not any(value == choice for choice in supported):
            self.problem(name, value, " or ".join(repr(choice) for choice in supported))

    def finish(self) -> None:
        """Raise one error for all problems, if there are any."""
        if self._problems:
            raise problems_error(f"{self._source}: this model cannot be loaded:", self._problems)

    def problem(self, name: str, value: Any, expected: str) -> None:
        """Record that a field does not have an expected value."""
        state = "is missing" if value is None else f"is {brief(value)}"
        self._problems.append(f"{name} {state}; expected {expected}")

    def _value(self, name: str, default: Any) -> Any:
        value = self._values.get(name)
        alias = self._aliases.get(name)
        other = None if alias is None else self._values.get(alias)
        if None not in (value, other) and value != other:
            self.problem(str(alias), other, f"{brief(value)} like {name}")
        value = other if value is None else value
        return default if value is None else value
