"""The numbers that a field of a dataclass accepts: one table for flags, their help and all checks.

    @dataclasses.dataclass(frozen=True)
    class Config:
        steps: int = in_range(100, whole(1))
        dropout: float = in_range(0.0, real(0, below=1))

        def __post_init__(self):
            require_in_range(self)

Nothing here imports JAX, so that `--help` is fast.
"""

import ctypes
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from fsl_jax.errors import InputError, brief, problems_error

MAX_INT32 = 2**31 - 1
"""The largest whole number in arrays, which have 32 bits."""

MAX_INT64 = 2**63 - 1
"""The largest whole number that the files of a study can hold."""

_RANGE = "range"
_NAME = "name in messages"
_LEAST_FLOAT32 = 2.0**-126


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that a field accepts.

    Attributes:
      minimum: the smallest number; None if there is none.
      above: all numbers must be larger than this.
      maximum: the largest number.
      below: all numbers must be smaller than this.
      whole: True for whole numbers.
      on_host: True for numbers that only Python uses; they may be infinite. All others that are not
        whole become float32, so they must not become zero or infinite there.
    """

    minimum: int | float | None = None
    above: int | float | None = None
    maximum: int | float | None = None
    below: int | float | None = None
    whole: bool = False
    on_host: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number" if self.on_host else "a finite number"
        return ", ".join(part for part in (kind, self.bounds) if part)

    @property
    def bounds(self) -> str:
        """The bounds in words: `0 or more and below 1`; empty if there are none."""
        exact = self.minimum is not None and self.maximum is not None
        parts = [
            f"from {self.minimum:,} to {self.maximum:,}" if exact else "",
            f"{self.minimum:,} or more" if self.minimum is not None and not exact else "",
            f"above {self.above:,}" if self.above is not None else "",
            f"at most {self.maximum:,}" if self.maximum is not None and not exact else "",
            f"below {self.below:,}" if self.below is not None else "",
        ]
        return " and ".join(part for part in parts if part)

    def read(self, text: str) -> int | float:
        """Read a number from a text; raise a ValueError if it is not one."""
        return int(text) if self.whole else float(text)

    def problem(self, name: str, value: Any) -> str:
        """Return the problem with a value as one line; empty if the value is accepted.

        Args:
          name: the name of the field or flag.
          value: the value.

        Returns:
          For example `steps = 0: expected a whole number, 1 or more`.
        """
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return f"{name} = {brief(value)}: expected {self}"
        number = value if self.whole else self.narrowed(value)
        if not self._contains(number):
            rounded = not self.whole and self._contains(value)
            note = f"; in float32 it is {number:g}" if rounded else ""
            return f"{name} = {brief(value)}: expected {self}{note}"
        if self.whole and self.maximum is None and abs(number) > MAX_INT64:
            return f"{name} = {brief(value)}: expected {self}, of 64 bits at most"
        if number == 0 and value != 0:
            return f"{name} = {brief(value)}: expected 0 or a number that float32 can tell from 0"
        return ""

    def narrowed(self, value: Any) -> float:
        """Return a number as the program uses it: most are rounded to float32."""
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if self.on_host:
            return number
        return 0.0 if abs(number) < _LEAST_FLOAT32 else ctypes.c_float(number).value

    def _contains(self, number: int | float) -> bool:
        unusable = math.isnan if self.on_host else lambda number: not math.isfinite(number)
        return (
            not (isinstance(number, float) and unusable(number))
            and (self.minimum is None or number >= self.minimum)
            and (self.above is None or number > self.above)
            and (self.maximum is None or number <= self.maximum)
            and (self.below is None or number < self.below)
        )


def whole(minimum: int | None = None, maximum: int | None = None) -> Range:
    """Return a range of whole numbers; without a maximum they may have 64 bits."""
    return Range(minimum=minimum, maximum=maximum, whole=True)


SEED = whole(0, 2**64 - 1)
"""The range of a seed."""


def real(
    minimum: int | float | None = None,
    maximum: int | float | None = None,
    *,
    above: int | float | None = None,
    below: int | float | None = None,
    on_host: bool = False,
) -> Range:
    """Return a range of numbers that need not be whole; the arguments are those of `Range`."""
    return Range(minimum, above, maximum, below, on_host=on_host)


def in_range(default: Any, accepted: Range, **metadata: Any) -> Any:
    """Return a field of a dataclass with a range of numbers.

    Args:
      default: the default of the field, or `dataclasses.MISSING`.
      accepted: the range. It holds for each entry if the value is a tuple, and not for None.
      **metadata: further metadata of the field.

    Returns:
      The result of `dataclasses.field`.
    """
    return dataclasses.field(default=default, metadata=metadata | range_metadata(accepted))


def range_metadata(accepted: Range | None, name: str = "") -> dict[str, Any]:
    """Return the metadata of a field with a range.

    Args:
      accepted: the range, or None for a field without one.
      name: the name of the field in messages, if it is not its own.

    Returns:
      The metadata.
    """
    return {_RANGE: accepted, _NAME: name}


def range_of(dataclass: Any, name: str = "") -> Range | None:
    """Return the range of a field, or None.

    Args:
      dataclass: the field, or a dataclass that has it.
      name: the field's name in the dataclass.

    Returns:
      The range.
    """
    if not name:
        return dataclass.metadata.get(_RANGE)
    return dataclass.__dataclass_fields__[name].metadata.get(_RANGE)


def range_problems(instance: Any) -> list[str]:
    """List the numbers of a dataclass that are out of their ranges, one line each.

    Args:
      instance: an instance of a dataclass. Texts are passed over, since a list of numbers for
        certain models and methods is stored as text.

    Returns:
      The problems.
    """
    problems = []
    for field in dataclasses.fields(instance):
        accepted, value = range_of(field), getattr(instance, field.name)
        if accepted is None or value is None or (isinstance(value, str) and field.type is str):
            continue
        name = field.metadata[_NAME] or field.name
        entries = value if isinstance(value, tuple) else (value,)
        problems += [accepted.problem(name, entry) for entry in entries]
    return [problem for problem in problems if problem]


def require_in_range(instance: Any, summary: str = "values out of range:") -> None:
    """Raise an error that lists all numbers of a dataclass that are out of their ranges.

    Args:
      instance: an instance of a dataclass.
      summary: the first line of the error.

    Raises:
      InputError: there are such numbers.
    """
    if problems := range_problems(instance):
        raise range_error(problems, summary)


def range_error(problems: Sequence[str], summary: str = "values out of range:") -> InputError:
    """Return one error for values out of range, in one line if there is one.

    Args:
      problems: the problems.
      summary: the beginning of the message.

    Returns:
      An `InputError` to raise.
    """
    if len(problems) > 1:
        return problems_error(summary, problems)
    error = InputError(f"{summary} {problems[0]}")
    error.problems = tuple(problems)
    return error
