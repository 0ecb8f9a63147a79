"""Reading a model's sizes from its config, with everything that is wrong told at once."""

from collections.abc import Mapping
from typing import Any

from fsl_jax.errors import problems_error


class ConfigReader:
    """The fields of a config; what is wrong with them is collected until `finish`."""

    def __init__(self, source: str, values: Mapping[str, Any]):
        self._source = source
        self._values = values
        self._problems: list[str] = []

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number above 0; without a default the field has to be there."""
        value = self._value(name, default)
        if isinstance(value, bool) or not hasattr(value, "__index__") or value <= 0:
            self.problem(name, value, "a whole number above 0")
            return 1
        return int(value)

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number, which may be 0; without a default the field has to be there."""
        value = self._value(name, default)
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
            self.problem(name, value, "a whole number, 0 or more")
            return 0
        return int(value)

    def number(self, name: str, default: float | None = None) -> float:
        """A number above 0; without a default the field has to be there."""
        value = self._value(name, default)
        if isinstance(value, bool) or not hasattr(value, "__float__") or not value > 0:
            self.problem(name, value, "a number above 0")
            return 1.0
        return float(value)

    def optional_integer(self, name: str, absent: int | None = None) -> int | None:
        """A whole number above 0, None where the field is null, `absent` where it is not there."""
        given = self._values.get(name, absent)
        return None if given is None else self.integer(name, absent)

    def optional_number(self, name: str, absent: float | None = None) -> float | None:
        """A number above 0, None where the field is null, `absent` where it is not there."""
        given = self._values.get(name, absent)
        return None if given is None else self.number(name, absent)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            self.problem(name, value, "true or false")
        return bool(value)

    def expect(self, name: str, *supported: Any) -> None:
        """Notes a fault unless the field is absent or has one of the supported values."""
        value = self._value(name, supported[0])
        if not any(value == each for each in supported):
            self.problem(name, value, " or ".join(repr(each) for each in supported))

    def finish(self) -> None:
        """Raises one error for all faults, if there are any."""
        if self._problems:
            raise problems_error(f"{self._source}: this model cannot be loaded:", self._problems)

    def problem(self, name: str, value: Any, expected: str) -> None:
        """Notes that a field does not have a value that was expected."""
        found = "is missing" if value is None else f"is {value!r}"
        self._problems.append(f"{name} {found}; expected {expected}")

    def _value(self, name: str, default: Any) -> Any:
        value = self._values.get(name)
        return default if value is None else value
