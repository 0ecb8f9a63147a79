"""The fields of an AdaLoRA training in PEFT's config: budget, schedule and penalty.

They do not change the output of a saved adapter. PEFT counts the schedule in steps. Here it is in
shares of the training, so a written config has a thousand steps.
"""

import math
from collections.abc import Mapping
from typing import Any

from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.peft.config_fields import count_problems, is_count, is_number

_STEPS = 1000
_DEFAULTS = {
    "target_r": 8,
    "total_step": None,
    "tinit": 0,
    "tfinal": 0,
    "deltaT": 1,
    "beta1": 0.85,
    "beta2": 0.85,
    "orth_reg_weight": 0.5,
}
"""PEFT's own; it left the number of steps null once."""

TRAINING = frozenset(_DEFAULTS)


def training_config(method: AdaLoRA) -> dict[str, Any]:
    """Return the fields that describe a method's training.

    Args:
      method: the method.

    Returns:
      Values of `adapter_config.json`.
    """
    warmup = min(round(method.warmup * _STEPS), _STEPS - 1)
    return {
        "target_r": method.target_rank,
        "total_step": _STEPS,
        "tinit": warmup,
        # PEFT needs at least one step in which the budget falls.
        "tfinal": min(round(method.final * _STEPS), _STEPS - 1 - warmup),
        "deltaT": method.interval,
        "beta1": method.smoothing,
        "beta2": method.uncertainty_smoothing,
        "orth_reg_weight": method.penalty_weight,
    }


def read_training(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return AdaLoRA's settings from a config in which `training_problems` finds nothing.

    Args:
      values: the values of `adapter_config.json`.

    Returns:
      The settings by name, without those of the schedule if the config has no number of steps.
    """
    fields = _with_defaults(values)
    settings = {
        "target_rank": fields["target_r"],
        "interval": fields["deltaT"],
        "smoothing": float(fields["beta1"]),
        "uncertainty_smoothing": float(fields["beta2"]),
        "penalty_weight": float(fields["orth_reg_weight"]),
    }
    if steps := fields["total_step"]:
        settings |= {"warmup": fields["tinit"] / steps, "final": fields["tfinal"] / steps}
    return settings


def training_problems(values: Mapping[str, Any]) -> list[str]:
    """List the reasons why a training cannot be resumed from a config.

    Args:
      values: the values of `adapter_config.json`.

    Returns:
      A line for each problem.
    """
    fields = _with_defaults(values)
    problems = count_problems(fields, "target_r") + count_problems(fields, "deltaT")
    for name in ("beta1", "beta2"):
        if not (is_number(fields[name]) and 0 < fields[name] < 1):
            problems.append(f"{name} is {fields[name]!r}; expected a number between 0 and 1")
    weight = fields["orth_reg_weight"]
    if not (is_number(weight) and 0 <= weight < math.inf):
        problems.append(f"orth_reg_weight is {weight!r}; expected a number of at least 0")
    return problems + _schedule_problems(fields)


def _schedule_problems(fields: Mapping[str, Any]) -> list[str]:
    steps, warmup, final = (fields[name] for name in ("total_step", "tinit", "tfinal"))
    problems = [] if steps is None else count_problems(fields, "total_step")
    problems += [
        f"{name} is {fields[name]!r}; expected a number of steps"
        for name in ("tinit", "tfinal")
        if not is_count(fields[name]) and (fields[name] != 0 or fields[name] is False)
    ]
    if not problems and steps is not None and warmup + final >= steps:
        problems.append(
            f"tinit is {warmup} and tfinal {final}; expected less than the total_step of {steps} "
            "together, so that the budget can fall between"
        )
    return problems


def _with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields, with PEFT's defaults for null or missing ones."""
    return _DEFAULTS | {name: values[name] for name in _DEFAULTS if values.get(name) is not None}
