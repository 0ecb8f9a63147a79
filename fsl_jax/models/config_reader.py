"""Read a model's sizes from its config, and report all problems in one error."""

from collections.abc import Mapping
from typing import Any

from fsl_jax.errors import problems_error


class ConfigReader:
    """A reader of a config's fields, which collects their problems until `finish` is called.

    Without a default, a field must be present. A field that is null counts as absent.
    """

    def __init__(self, source: str, values: Mapping[str, Any]):
        self._source = source
        self._values = values
        self._problems: list[str] = []

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a whole number above 0."""
        value = self._value(name, default)
        if isinstance(value, bool) or not hasattr(value, "__index__") or value <= 0:
            self.problem(name, value, "a whole number above 0")
            return 1
        return int(value)

    def count(self, name: str, default: int | None = None) -> int:
        """Return a whole number, which may be 0."""
        value = self._value(name, default)
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
            self.problem(name, value, "a whole number, 0 or more")
            return 0
        return int(value)

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number above 0."""
        value = self._value(name, default)
        if isinstance(value, bool) or not hasattr(value, "__float__") or not value > 0:
            self.problem(name, value, "a number above 0")
            return 1.0
        return float(value)

    def optional_integer(self, name: str, absent: int | None = None) -> int | None:
        """Return a whole number above 0; None for a null field, `absent` for an absent one."""
        value = self._values.get(name, absent)
        return None if value is None else self.integer(name, absent)

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
        state = "is missing" if value is None else f"is {value!r}"
        self._problems.append(f"{name} {state}; expected {expected}")

    def _value(self, name: str, default: Any) -> Any:
        value = self._values.get(name)
        return default if value is None else value
