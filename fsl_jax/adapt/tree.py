"""The parameter tree as leaves by path: `layers/attention/query/kernel`."""

import zlib
from typing import Any

import jax
from flax import traverse_util

from fsl_jax.models.outputs import Params

__all__ = ["Params", "flatten", "key_of", "unflatten"]


def flatten(params: Params) -> dict[str, Any]:
    """Return all leaves by path, in the order of the tree.

    Args:
      params: a nested dict.

    Returns:
      A flat dict from paths such as `layers/attention/query/kernel` to leaves.
    """
    return traverse_util.flatten_dict(params, sep="/")


def unflatten(leaves: dict[str, Any]) -> Params:
    """Return the nested dict for leaves by path; the inverse of `flatten`.

    Args:
      leaves: leaves by path.

    Returns:
      The nested dict.
    """
    return traverse_util.unflatten_dict(leaves, sep="/")


def key_of(key: jax.Array, path: str) -> jax.Array:
    """Return a key for the leaf at a path, independent of the other leaves.

    Args:
      key: the key of the whole draw.
      path: the leaf's path.

    Returns:
      The leaf's own key.
    """
    return jax.random.fold_in(key, zlib.crc32(path.encode()))
