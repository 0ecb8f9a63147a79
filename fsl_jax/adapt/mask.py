"""Masks of trained leaves, made from rules. Leaves that no rule matches are frozen."""

from collections.abc import Iterable

from fsl_jax.adapt.parts.patterns import find
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError

HEAD_RULE = "^head/"
"""The rule for task heads, which every method trains, since they were not pretrained."""


def mask_from_rules(params: Params, rules: Iterable[str]) -> Params:
    """Make the mask of trained leaves: those whose path matches a rule.

    Args:
      params: the parameter tree.
      rules: regular expressions, searched for in each path.

    Returns:
      A tree of booleans of the structure of `params`.

    Raises:
      InputError: a rule matches no leaf; the message lists all paths.
    """
    paths = list(flatten(params))
    rules = tuple(rules)
    idle = [rule for rule in rules if not any(find(rule, path) for path in paths)]
    if idle:
        raise InputError(
            f"no parameter matches {' or '.join(map(repr, idle))}, so there is nothing to train "
            "there. The parameters are:\n  " + "\n  ".join(paths)
        )
    return unflatten({path: any(find(rule, path) for rule in rules) for path in paths})
