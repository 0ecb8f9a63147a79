"""What all kinds of adapters have in `adapter_config.json`: the kind, counts, what is too much."""

from collections.abc import Collection, Mapping
from typing import Any

_MERGE = "merge it in PEFT (`merge_and_unload`), and load the model, with its head"


def unsupported_fields(
    values: Mapping[str, Any], known: Collection[str], can_merge: bool = True
) -> list[str]:
    """Settings in a config that would change the numbers and are not supported.

    Args:
      values: what `adapter_config.json` says.
      known: the fields that are read, or that are known to change nothing.
      can_merge: whether PEFT merges adapters of this kind, which is a way to have them here.

    Returns:
      A line for each fault.
    """
    found = []
    for name in sorted(values.keys() - set(known)):
        if values[name] not in (None, False, "none", [], {}):
            advice = f": {_MERGE}" if can_merge and name == "modules_to_save" else ""
            found.append(f"{name} is {values[name]!r}, which is not supported{advice}")
    return found


def count_problems(values: Mapping[str, Any], field: str) -> list[str]:
    """A line where a field of a config should be a count and is none."""
    value = values.get(field)
    return (
        [] if is_count(value) else [f"{field} is {value!r}; expected a whole number of at least 1"]
    )


def kind_problems(values: Mapping[str, Any], peft_type: str) -> list[str]:
    """A line where a config is of another kind than it should be."""
    found = values.get("peft_type")
    return [] if found == peft_type else [f"peft_type is {found!r}; expected {peft_type!r}"]


def is_number(value: Any) -> bool:
    """Whether a value is a number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
