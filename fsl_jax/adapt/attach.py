"""Attach a method to the parameters of a model, and get the parameters for the model back."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging
from jax.interpreters import partial_eval
from jaxtyping import Array, Float

from fsl_jax.adapt.mask import HEAD_RULE, mask_from_rules
from fsl_jax.adapt.methods.joined import Joined
from fsl_jax.adapt.methods.leaf_kinds import added_paths, is_known
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.partition import combine
from fsl_jax.adapt.parts.patterns import find
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import problems_error
from fsl_jax.models.blocks.added_leaves import unknown_leaf

_HOOKS = {
    "penalty": "a penalty in the loss, which `adapted` returns",
    "after_step": "a change of its leaves after each optimiser step, `method.after_step`",
}


def attach(
    params: Params,
    method: Method,
    key: jax.Array,
    forward: Callable[[Params], Any] | None = None,
    *,
    calls_hooks: bool = False,
) -> tuple[Params, Params]:
    """Add a method's leaves to the parameters, and make the mask of trained leaves.

    Args:
      params: the parameter tree of a pretrained model, with a task head where there is one.
      method: the method.
      key: a threefry key for the leaves that are drawn.
      forward: the function of the parameters that will be run. It is traced, not run, to see which
        leaves it reads. An added leaf that is never read is an error, since a layer ignores leaves
        that it does not know. A leaf of the base that is never read stays frozen.
      calls_hooks: True if the training will call `penalty` and `after_step`. Otherwise a warning
        says so for a method that has them, since nothing else would show that they are missing.

    Returns:
      `(params, mask)`: the extended parameters, and a tree of booleans of the same structure, True
      where a leaf is trained.

    Raises:
      InputError: a rule of the method matches no leaf that is read, or an added leaf is never read
        or of an unknown kind.
    """
    if not calls_hooks:
        _warn_of_hooks(method)
    extended = method.extend(params, key)
    added = added_paths(flatten(extended), flatten(params))
    rules = (*method.rules, *((HEAD_RULE,) if "head" in extended else ()))
    mask = mask_from_rules(extended, rules)
    if forward is None:
        _require_known(added, method)
        return extended, mask
    unread = unread_leaves(lambda tree: forward(method.reparametrize(tree)), extended)
    _require_read(unread, flatten(extended).keys() - flatten(params).keys(), method)
    _require_known(added, method)
    _require_something_read(unread, flatten(extended), method)
    read_mask = {path: chosen and path not in unread for path, chosen in flatten(mask).items()}
    return extended, unflatten(read_mask)


def adapted(method: Method, *parts: Params) -> tuple[Params, Float[Array, ""]]:
    """Join the parts that `partition` made, and compute from them what a loss needs.

    Call it inside the function that is differentiated. A method such as `adalora` also changes its
    leaves after each optimiser step: see `Method.after_step`.

    Args:
      method: the method whose leaves they are.
      *parts: as in `combine`.

    Returns:
      `(params, penalty)`: the whole tree for the model, and the method's term to add to the loss,
      a float32 scalar that is 0 for most methods.

    Raises:
      ValueError: as in `combine`.
    """
    whole = combine(*parts)
    penalty = method.penalty(whole)
    return method.reparametrize(whole), jnp.float32(0) if penalty is None else penalty


def unread_leaves(forward: Callable[[Params], Any], params: Params) -> set[str]:
    """Return the paths of the leaves on which the result of `forward` does not depend.

    Args:
      forward: a function of the parameters; it is traced on their shapes and not run.
      params: the parameter tree.

    Returns:
      The paths of the leaves that are never read.
    """
    leaves = flatten(params)
    shapes = {path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in leaves.items()}
    jaxpr = jax.make_jaxpr(lambda flat: forward(unflatten(flat)))(shapes).jaxpr
    _, used = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    # A dict reaches a jaxpr with its keys sorted.
    return {path for path, is_used in zip(sorted(leaves), used, strict=True) if not is_used}


def _warn_of_hooks(method: Method) -> None:
    """Log a warning if a method does more in training than the model's parameters show."""
    for part in method.parts if isinstance(method, Joined) else (method,):
        needed = [
            text
            for hook, text in _HOOKS.items()
            if getattr(type(part), hook) is not getattr(Method, hook)
        ]
        if needed:
            logging.warning("%s trains as published only with %s", part.name, " and ".join(needed))


def _require_known(added: Iterable[str], method: Method) -> None:
    """Raise an error for added leaves of kinds that merging and stacking do not know."""
    if problems := [unknown_leaf(path) for path in sorted(added) if not is_known(path)]:
        raise problems_error(f"{method.name} adds parameters that are unknown:", problems)


def _require_something_read(unread: set[str], paths: Iterable[str], method: Method) -> None:
    """Raise an error for rules that name only leaves that are never read."""
    paths = list(paths)
    matched = [[path for path in paths if find(rule, path)] for rule in method.rules]
    if idle := [path for of_rule in matched if unread.issuperset(of_rule) for path in of_rule]:
        raise problems_error(
            f"{method.name} trains parameters that are never read where it is used here, so it "
            "would change nothing; choose another method:",
            idle,
        )


def _require_read(unread: set[str], added: Iterable[str], method: Method) -> None:
    """Raise an error for added leaves that are never read."""
    lost = sorted(unread & set(added))
    if lost:
        raise problems_error(
            f"{method.name} adds parameters that the model never reads, so training them would "
            "change nothing; the layers at these paths have no such hook:",
            lost,
        )
