"""The leaves in an adapter's files: their paths, their shapes, and a check of both."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from fsl_jax.adapt.methods.joined import Joined
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.parts.patterns import find
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.models.pretrained import Pretrained


def saved_shapes(method: Method, pretrained: Pretrained) -> dict[str, list[int]]:
    """Return the shapes of the leaves in a method's adapter.

    Args:
      method: the method.
      pretrained: the base model.

    Returns:
      A shape for each path. An adapter may lack some of the base's leaves that the method trains.
    """
    method = as_trained(method)

    def keep(params: Params) -> Params:
        extended = flatten(method.extend(params, jax.random.key(0)))
        rules = (*method.rules, *method.saved_rules)
        saved = {path: leaf for path, leaf in extended.items() if matches(path, rules)}
        return method.finish(unflatten(saved))

    kept = jax.eval_shape(keep, pretrained.params)
    return {path: list(leaf.shape) for path, leaf in flatten(kept).items()}


def as_trained(method: Method) -> Method:
    """Return a method whose settings that only matter in training have their default values.

    The saved leaves do not depend on these settings. In the file of a stranger, they could ask for
    a network that fills the memory.

    Args:
      method: the method.

    Returns:
      A method with the same saved leaves.
    """
    if isinstance(method, Joined):
        return Joined(tuple(map(as_trained, method.parts)))
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(method)
        if field.metadata.get("only_trains")
    }
    return dataclasses.replace(method, **defaults)


def frozen_leaves_of(method: Method, leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return the method's frozen leaves, such as scales.

    They are saved beside the trained leaves: they may have come with a loaded adapter, and leaves
    that were computed from the base may differ slightly if they are computed again.

    Args:
      method: the method.
      leaves: the leaves of a whole tree, by path.

    Returns:
      The frozen leaves by path.
    """
    return {path: leaf for path, leaf in leaves.items() if matches(path, method.frozen_rules)}


def trained_leaves(leaves: Params, method: Method) -> dict[str, np.ndarray]:
    """Return the leaves in float32, without those that follow from the method's settings."""
    return {
        path: np.asarray(jax.device_get(leaf), np.float32)
        for path, leaf in flatten(leaves).items()
        if matches(path, method.saved_rules) or not matches(path, method.frozen_rules)
    }


def leaf_problems(
    trained: Mapping[str, np.ndarray], method: Method, pretrained: Pretrained
) -> list[str]:
    """List leaves that differ from those that the method trains here, except the head's."""
    shapes = saved_shapes(method, pretrained)
    present = {path: shape for path, shape in leaf_shapes(trained).items() if not is_head(path)}
    # Leaves of the base that the formulation does not read may not have been trained.
    required = shapes.keys() - flatten(pretrained.params).keys()
    expected = {path: shapes[path] for path in shapes if path in present or path in required}
    return shape_problems(present, expected) if trained else ["there are no trained leaves"]


def matches(path: str, rules: Iterable[str]) -> bool:
    """Return True if one of the regular expressions is found in a path."""
    return any(find(rule, path) for rule in rules)


def shape_problems(shapes: Mapping[str, list[int]], expected: Mapping[str, list[int]]) -> list[str]:
    """List the paths that are missing or unknown, and the shapes that are not as expected."""
    return [
        *(f"missing: {path}" for path in sorted(expected.keys() - shapes.keys())),
        *(f"not known: {path}" for path in sorted(shapes.keys() - expected.keys())),
        *(
            f"wrong shape: {path} is {shapes[path]}, expected {expected[path]}"
            for path in sorted(shapes.keys() & expected.keys())
            if shapes[path] != expected[path]
        ),
    ]


def leaf_shapes(leaves: Mapping[str, np.ndarray]) -> dict[str, list[int]]:
    """Return the shape of each leaf, in the order of the paths."""
    return {path: list(leaf.shape) for path, leaf in sorted(leaves.items())}


def is_head(path: str) -> bool:
    """Return True if a leaf belongs to the task head."""
    return path.startswith("head/")
