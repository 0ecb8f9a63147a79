"""Convert trees of arrays to host arrays by path, and back."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from fsl_jax import processes
from fsl_jax.sharding import place
from fsl_jax.training.orbax_arrays import Arrays


class Description(NamedTuple):
    """The dtype and shape of a leaf.

    Attributes:
      dtype: the name of the dtype; "key<threefry2x32>" for typed random keys of that kind.
      shape: the shape; for typed keys the shape in keys.
    """

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def describe(tree: Any) -> dict[str, Description]:
    """Describe every leaf of a tree.

    Args:
      tree: a pytree of arrays, `jax.ShapeDtypeStruct`, or Python numbers.

    Returns:
      The descriptions by path; the keys of a path are joined with `/`.

    Raises:
      TypeError: a leaf is of another type.
      ValueError: two leaves have the same path.
    """
    return {path: _describe(path, leaf) for path, leaf in _named_leaves(tree).items()}


def parse_descriptions(named: dict[str, Any]) -> dict[str, Description]:
    """Read descriptions from JSON that was made from the result of `describe`."""
    return {path: Description(dtype, tuple(shape)) for path, (dtype, shape) in named.items()}


def differences(saved: dict[str, Description], expected: dict[str, Description]) -> list[str]:
    """Compare the saved leaves with those that a program expects.

    Args:
      saved: descriptions by path.
      expected: descriptions by path.

    Returns:
      One line for each leaf that is missing, unexpected, or of another shape or dtype. It begins
      with the path.
    """
    problems = [
        f"{path}: missing, expected {expected[path]}" for path in expected.keys() - saved.keys()
    ]
    problems += [
        f"{path}: unexpected, found {saved[path]}" for path in saved.keys() - expected.keys()
    ]
    problems += [
        f"{path}: found {saved[path]}, expected {expected[path]}"
        for path in saved.keys() & expected.keys()
        if saved[path] != expected[path]
    ]
    return sorted(problems)


def tree_to_arrays(tree: Any) -> Arrays:
    """Copy the leaves of a tree into host memory.

    With several processes, all must call this together. Arrays that are spread over processes are
    gathered.

    Args:
      tree: a pytree of arrays and Python numbers; typed random keys become their key data.

    Returns:
      Arrays by path.
    """
    plain = {
        path: jax.random.key_data(leaf) if _is_key(leaf) else leaf
        for path, leaf in _named_leaves(tree).items()
    }
    return jax.tree.map(np.asarray, processes.to_host(plain))


def arrays_to_tree(template: Any, arrays: Arrays) -> Any:
    """Build a tree from host arrays, with leaves of the same types as in a template.

    Args:
      template: the tree. For a `jax.Array` or `jax.ShapeDtypeStruct` the result has an array with
        the same sharding, for a NumPy array a NumPy array, for a Python number a Python number.
      arrays: arrays by path, as from `tree_to_arrays`; empty arrays may be left out.

    Returns:
      A tree of the template's structure.
    """
    leaves = [
        _place(leaf, arrays[path] if path in arrays else _empty(leaf))
        for path, leaf in _named_leaves(template).items()
    ]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _named_leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves by path, in the order of the tree."""
    leaves = jax.tree.leaves_with_path(tree)
    # A single leaf has an empty path, but every array on disk needs a name.
    named = {
        jax.tree_util.keystr(path, simple=True, separator="/") or ".": leaf for path, leaf in leaves
    }
    if len(named) != len(leaves):
        raise ValueError("two leaves of a tree have the same path: no key may contain a slash")
    return named


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _kind_of_key(leaf: Any) -> str:
    """Return the implementation of a typed key, such as "threefry2x32".

    JAX returns it only for arrays, so the key is traced.
    """
    kinds: list[str] = []
    jax.eval_shape(lambda keys: kinds.append(str(jax.random.key_impl(keys))), leaf)
    return kinds[0]


def _describe(path: str, leaf: Any) -> Description:
    if _is_key(leaf):
        return Description(f"key<{_kind_of_key(leaf)}>", tuple(leaf.shape))
    like = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    dtype = np.dtype(like.dtype)
    if dtype.hasobject or dtype.kind in "SUmM":
        raise TypeError(f"{path} is {leaf!r}; expected an array or a number")
    return Description(dtype.name, tuple(like.shape))


def _empty(template: Any) -> np.ndarray:
    data = jax.eval_shape(jax.random.key_data, template) if _is_key(template) else template
    return np.empty(data.shape, data.dtype)


def _place(template: Any, array: np.ndarray) -> Any:
    if isinstance(template, bool | int | float | complex):
        return type(template)(array.item())
    if isinstance(template, np.ndarray):
        return array
    if isinstance(template, np.generic):
        return array[()]
    # If the template is not committed to a device, the array is not committed either: a committed
    # array would need another compilation.
    sharding = template.sharding if getattr(template, "committed", True) else None
    if _is_key(template):
        # Use a compiled function, since `device_put` cannot put keys on the devices of other
        # processes.
        wrap = functools.partial(jax.random.wrap_key_data, impl=_kind_of_key(template))
        return jax.jit(wrap, out_shardings=sharding)(array)
    return jax.device_put(array) if sharding is None else place(array, sharding)
