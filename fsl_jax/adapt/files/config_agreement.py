"""Check that both configs of an adapter, PEFT's and the record, describe the same adapter."""

import dataclasses
import math
import re
from collections.abc import Mapping

import numpy as np

from fsl_jax.adapt.files.adapter_layout import CONFIG, RECORD
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.peft.config_fields import is_number


def disagreements(
    config_method: Method, leaves: Mapping[str, np.ndarray], record_method: Method
) -> list[str]:
    """List the differences between the adapters that the two configs describe.

    Args:
      config_method: the method that PEFT's config describes.
      leaves: the leaves that were read by PEFT's config, by path, including scales.
      record_method: the method of the record.

    Returns:
      A line for each problem.
    """
    return _other_numbers(config_method, record_method) or _other_scales(leaves, record_method)


def _other_numbers(config_method: Method, record_method: Method) -> list[str]:
    problems = []
    for field in dataclasses.fields(record_method):
        number = getattr(record_method, field.name)
        config_number = getattr(config_method, field.name, number)
        counts = is_number(number) and not field.metadata.get("only_trains")
        if counts and not math.isclose(number, config_number, rel_tol=1e-6):
            problems.append(
                f"{CONFIG} says {field.name} {config_number}, {RECORD} says {field.name} {number}"
            )
    return problems


def _other_scales(leaves: Mapping[str, np.ndarray], method: Method) -> list[str]:
    """List scales that differ; PEFT's config derives them from ranks, and may set some itself."""
    problems = []
    for rule, expected in method.scales.items():
        for path in sorted(path for path in leaves if re.search(rule, path)):
            # A layer that is not adapted has a scale of zero.
            scales = np.unique(leaves[path][leaves[path] != 0])
            if not np.allclose(scales, expected, rtol=1e-5):
                said = ", ".join(f"{scale:g}" for scale in scales)
                problems.append(f"{CONFIG} makes {path} {said}, {RECORD} makes it {expected:g}")
    return problems
