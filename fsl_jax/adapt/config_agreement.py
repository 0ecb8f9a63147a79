"""Whether both configs of an adapter, PEFT's and ours, say the same of its numbers."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import numpy as np

from fsl_jax.adapt.adapter_layout import CONFIG, RECORD
from fsl_jax.adapt.method import Method
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.pretrained import Pretrained


def disagreements(
    theirs: Method, leaves: Mapping[str, np.ndarray], ours: Method, pretrained: Pretrained
) -> list[str]:
    """Where the configs say different things about the numbers of an adapter.

    Args:
      theirs: the method that PEFT's config describes.
      leaves: what was read of the adapter by PEFT's config, by path, scales among them.
      ours: the method of the record.
      pretrained: the base model.

    Returns:
      A line for each fault.
    """
    return _other_numbers(theirs, ours) or _other_scales(leaves, ours, pretrained)


def _other_numbers(theirs: Method, ours: Method) -> list[str]:
    found = []
    for field in dataclasses.fields(ours):
        own = getattr(ours, field.name)
        other = getattr(theirs, field.name, own)
        is_number = isinstance(own, int | float) and not isinstance(own, bool)
        counts = is_number and not field.metadata.get("only_trains")
        if counts and not math.isclose(own, other, rel_tol=1e-6):
            found.append(f"{CONFIG} says {field.name} {other}, {RECORD} says {field.name} {own}")
    return found


def _other_scales(
    leaves: Mapping[str, np.ndarray], method: Method, pretrained: Pretrained
) -> list[str]:
    """PEFT's config says how scales follow from ranks too, and may give layers their own."""
    paths = sorted(path for path in leaves if path.endswith("/lora_scale"))
    extended = flatten(method.extend(pretrained.params, jax.random.key(0))) if paths else {}
    found = []
    for path in (path for path in paths if path in extended):
        theirs, ours = _scales(leaves[path]), _scales(extended[path])
        if theirs.shape != ours.shape or not np.allclose(theirs, ours, rtol=1e-5):
            said = (", ".join(f"{scale:g}" for scale in scales) for scales in (theirs, ours))
            found.append(f"{CONFIG} makes {path} {next(said)}, {RECORD} makes it {next(said)}")
    return found


def _scales(leaf: np.ndarray | jax.Array) -> np.ndarray:
    """The scales of a stack, each once; a layer that is not adapted has a scale of zero."""
    scales = np.unique(np.asarray(leaf))
    return scales[scales != 0]
