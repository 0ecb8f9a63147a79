"""Checks of single fields of an `adapter_config.json`: counts, numbers, unsupported fields."""

from collections.abc import Collection, Mapping
from typing import Any

_MERGE = "merge it in PEFT (`merge_and_unload`), and load the model, with its head"

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


def unsupported_fields(
    values: Mapping[str, Any], known: Collection[str], can_merge: bool = True
) -> list[str]:
    """List fields of a config that would change the numbers and are not supported.

    Args:
      values: the values of `adapter_config.json`.
      known: the fields that are read, or that are known to change nothing.
      can_merge: whether PEFT merges adapters of this kind, which is a way to have them here.

    Returns:
      A line for each problem.
    """
    problems = []
    for name in sorted(values.keys() - set(known)):
        if values[name] not in (None, False, "none", [], {}):
            advice = f": {_MERGE}" if can_merge and name == "modules_to_save" else ""
            problems.append(f"{name} is {values[name]!r}, which is not supported{advice}")
    return problems


def count_problems(values: Mapping[str, Any], field: str) -> list[str]:
    """Return a line if a field of a config is no whole number of at least 1."""
    value = values.get(field)
    return (
        [] if is_count(value) else [f"{field} is {value!r}; expected a whole number of at least 1"]
    )


def is_number(value: Any) -> bool:
    """Return whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """Return whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
