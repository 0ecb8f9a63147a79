"""Save a whole parameter tree as a PEFT directory, and load it."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from etils import epath

from fsl_jax.adapt.files.adapter_files import load_adapter, save_adapter
from fsl_jax.adapt.files.adapter_leaves import frozen_leaves_of
from fsl_jax.adapt.mask import HEAD_RULE, mask_from_rules
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import problems_error
from fsl_jax.models.pretrained import Pretrained


def save_peft(
    directory: epath.PathLike, params: Params, pretrained: Pretrained, method: Method
) -> None:
    """Save the leaves that a method added to a model or trained, as a PEFT directory.

    Args:
      directory: the directory to write to; an existing adapter is replaced.
      params: the whole tree, extended by `attach` and then trained. A task head in it is saved too,
        in a separate file that PEFT ignores.
      pretrained: the base model.
      method: the method. If PEFT has no format for it, the adapter is saved in the same layout with
        one of this project's `peft_type` values, which PEFT refuses.

    Raises:
      InputError: the tree lacks leaves of the method, or has them in other shapes; or other leaves
        of the base have changed, such as modules that an adapter from PEFT brought.
    """
    rules = (*method.rules, HEAD_RULE) if "head" in params else method.rules
    chosen, leaves = flatten(mask_from_rules(params, rules)), flatten(params)
    trained = {path: leaf for path, leaf in leaves.items() if chosen[path]}
    _require_unchanged(directory, leaves.keys() - trained.keys(), leaves, method, pretrained)
    kept = frozen_leaves_of(method, leaves) | flatten(method.finish(unflatten(trained)))
    save_adapter(directory, unflatten(kept), method, pretrained, {})


def _require_unchanged(
    directory: epath.PathLike,
    paths: Iterable[str],
    leaves: Mapping[str, Any],
    method: Method,
    pretrained: Pretrained,
) -> None:
    """Raise an error for leaves of the base that have changed and would not be saved."""
    # A method may cut the stack of layers, so that the same path has fewer of them.
    cut = flatten(method.extend(pretrained.params, jax.random.key(0)))
    base = {path: cut[path] for path in flatten(pretrained.params).keys() & cut.keys()}
    lost = [
        path
        for path in sorted(paths)
        if path in base and not _is_unchanged(leaves[path], base[path])
    ]
    if lost:
        raise problems_error(
            f"{directory}: saving would lose leaves of the base that have changed and that the "
            "method does not train. Merge the adapter, or keep the directory that it came from:",
            lost,
        )


def _is_unchanged(leaf: Any, base: Any) -> bool:
    # A method may cut the stacked layers into sections. The first one keeps the path.
    return leaf is base or np.array_equal(leaf, base[: len(leaf)] if np.ndim(leaf) else base)


def load_peft(directory: epath.PathLike, pretrained: Pretrained) -> Params:
    """Load an adapter that `save_peft` or PEFT saved.

    Args:
      directory: the adapter.
      pretrained: the base model.

    Returns:
      The whole tree, ready for `pretrained.apply`.

    Raises:
      InputError: the adapter is damaged, of a kind that is not known, or does not fit the model; it
        lists all that is wrong.
    """
    return load_adapter(directory, pretrained).params
