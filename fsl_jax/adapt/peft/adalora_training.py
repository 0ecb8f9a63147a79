"""What PEFT's config says of an AdaLoRA training: its budget, its schedule and its penalty.

Nothing of it changes what a saved adapter computes. PEFT counts the schedule in steps, where it is
in parts of the training here: a config that is written has a thousand steps.
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
    """What a config says of a method's training.

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
        # PEFT wants a step at least in which the budget falls.
        "tfinal": min(round(method.final * _STEPS), _STEPS - 1 - warmup),
        "deltaT": method.interval,
        "beta1": method.smoothing,
        "beta2": method.uncertainty_smoothing,
        "orth_reg_weight": method.penalty_weight,
    }


def read_training(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of AdaLoRA in a config of which `training_problems` finds none.

    Args:
      values: what `adapter_config.json` says.

    Returns:
      The settings by name. Those of the schedule are left out where there is no number of steps of
      which it would be a part.
    """
    said = _with_defaults(values)
    settings = {
        "target_rank": said["target_r"],
        "interval": said["deltaT"],
        "smoothing": float(said["beta1"]),
        "uncertainty_smoothing": float(said["beta2"]),
        "penalty_weight": float(said["orth_reg_weight"]),
    }
    if steps := said["total_step"]:
        settings |= {"warmup": said["tinit"] / steps, "final": said["tfinal"] / steps}
    return settings


def training_problems(values: Mapping[str, Any]) -> list[str]:
    """What keeps a training from being gone on with as a config says.

    Args:
      values: what `adapter_config.json` says.

    Returns:
      A line for each fault.
    """
    said = _with_defaults(values)
    found = count_problems(said, "target_r") + count_problems(said, "deltaT")
    for name in ("beta1", "beta2"):
        if not (is_number(said[name]) and 0 < said[name] < 1):
            found.append(f"{name} is {said[name]!r}; expected a number between 0 and 1")
    weight = said["orth_reg_weight"]
    if not (is_number(weight) and 0 <= weight < math.inf):
        found.append(f"orth_reg_weight is {weight!r}; expected a number of at least 0")
    return found + _schedule_problems(said)


def _schedule_problems(said: Mapping[str, Any]) -> list[str]:
    steps, warmup, final = (said[name] for name in ("total_step", "tinit", "tfinal"))
    found = [] if steps is None else count_problems(said, "total_step")
    found += [
        f"{name} is {said[name]!r}; expected a number of steps"
        for name in ("tinit", "tfinal")
        if not is_count(said[name]) and (said[name] != 0 or said[name] is False)
    ]
    if not found and steps is not None and warmup + final >= steps:
        found.append(
            f"tinit is {warmup} and tfinal {final}; expected less than the total_step of {steps} "
            "together, so that the budget can fall between"
        )
    return found


def _with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is null or not there is as it is by default."""
    return _DEFAULTS | {name: values[name] for name in _DEFAULTS if values.get(name) is not None}
