"""Checks of single fields of an `adapter_config.json`: counts, numbers, unsupported fields."""

from collections.abc import Collection, Mapping
from typing import Any

VECTOR_FIELDS = frozenset(
    {
        "exclude_modules",
        "fan_in_fan_out",
        "init_ia3_weights",
        "runtime_config",
        "target_modules",
    }
)
"""Fields of IA3 and LN tuning that name the targets, or that change nothing in what a saved adapter
computes. PEFT has no numbers of layers among them, as it has for LoRA."""


def unsupported_fields(values: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """List unsupported fields of a config that would change the output.

    Args:
      values: the values of `adapter_config.json`.
      known: the fields that are read, or that do not change the output.

    Returns:
      A line for each problem.
    """
    problems = []
    for name in sorted(values.keys() - set(known)):
        if values[name] not in (None, False, "none", [], {}):
            problems.append(f"{name} is {values[name]!r}, which is not supported")
    return problems


def count_problems(values: Mapping[str, Any], field: str) -> list[str]:
    """Return a line if a field of a config is not a whole number of at least 1."""
    value = values.get(field)
    return (
        [] if is_count(value) else [f"{field} is {value!r}; expected a whole number of at least 1"]
    )


def is_number(value: Any) -> bool:
    """Return True if a value is a number; booleans are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """Return True if a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
