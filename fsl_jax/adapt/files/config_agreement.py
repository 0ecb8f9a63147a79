"""Whether both configs of an adapter, PEFT's and ours, say the same of its numbers."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from fsl_jax.adapt.files.adapter_layout import CONFIG, RECORD
from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.peft.config_fields import is_number


def disagreements(theirs: Method, leaves: Mapping[str, np.ndarray], ours: Method) -> list[str]:
    """Where the configs say different things about the numbers of an adapter.

    Args:
      theirs: the method that PEFT's config describes.
      leaves: what was read of the adapter by PEFT's config, by path, scales among them.
      ours: the method of the record.

    Returns:
      A line for each fault.
    """
    return _other_numbers(theirs, ours) or _other_scales(leaves, ours)


def _other_numbers(theirs: Method, ours: Method) -> list[str]:
    found = []
    for field in dataclasses.fields(ours):
        own = getattr(ours, field.name)
        other = getattr(theirs, field.name, own)
        counts = is_number(own) and not field.metadata.get("only_trains")
        if counts and not math.isclose(own, other, rel_tol=1e-6):
            found.append(f"{CONFIG} says {field.name} {other}, {RECORD} says {field.name} {own}")
    return found


def _other_scales(leaves: Mapping[str, np.ndarray], method: Method) -> list[str]:
    """PEFT's config says how scales follow from ranks too, and may give layers their own."""
    if not isinstance(method, LoRA | AdaLoRA):
        return []
    found = []
    for path in sorted(path for path in leaves if path.endswith("/lora_scale")):
        # A layer that is not adapted has a scale of zero.
        scales = np.unique(leaves[path][leaves[path] != 0])
        if not np.allclose(scales, method.scale, rtol=1e-5):
            said = ", ".join(f"{scale:g}" for scale in scales)
            found.append(f"{CONFIG} makes {path} {said}, {RECORD} makes it {method.scale:g}")
    return found
