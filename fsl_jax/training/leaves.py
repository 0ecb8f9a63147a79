"""The leaves of a tree as named arrays in host memory, and back onto devices as a template says."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from fsl_jax import processes
from fsl_jax.sharding import place
from fsl_jax.training.array_store import Arrays


class Description(NamedTuple):
    """What a leaf is.

    Attributes:
      dtype: its name; "key<threefry2x32>" for typed random keys of that kind.
      shape: of a typed key the shape in keys.
    """

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def describe(tree: Any) -> dict[str, Description]:
    """What every leaf of a tree is, by its path.

    Args:
      tree: a pytree of arrays, `jax.ShapeDtypeStruct`, or Python numbers.

    Returns:
      By path, the parts of which are joined by `/`.

    Raises:
      TypeError: a leaf is none of these.
      ValueError: two leaves have the same path.
    """
    return {path: _describe(path, leaf) for path, leaf in _named_leaves(tree).items()}


def parse_descriptions(named: dict[str, Any]) -> dict[str, Description]:
    """Reads back what `describe` gave, after it has been through JSON."""
    return {path: Description(dtype, tuple(shape)) for path, (dtype, shape) in named.items()}


def differences(saved: dict[str, Description], expected: dict[str, Description]) -> list[str]:
    """Compares what was saved with what a program expects.

    Args:
      saved: descriptions by path.
      expected: descriptions by path.

    Returns:
      What is missing, unexpected, or of another shape or dtype, a line each; the path first.
    """
    found = [
        f"{path}: missing, expected {expected[path]}" for path in expected.keys() - saved.keys()
    ]
    found += [f"{path}: unexpected, found {saved[path]}" for path in saved.keys() - expected.keys()]
    found += [
        f"{path}: found {saved[path]}, expected {expected[path]}"
        for path in saved.keys() & expected.keys()
        if saved[path] != expected[path]
    ]
    return sorted(found)


def to_host(tree: Any) -> Arrays:
    """Copies the leaves of a tree into host memory.

    With several processes, all call this together: what no process holds whole is gathered.

    Args:
      tree: a pytree of arrays and Python numbers; typed random keys give their key data.

    Returns:
      Arrays by path.
    """
    plain = {
        path: jax.random.key_data(leaf) if _is_key(leaf) else leaf
        for path, leaf in _named_leaves(tree).items()
    }
    return jax.tree.map(np.asarray, processes.to_host(plain))


def from_host(template: Any, arrays: Arrays) -> Any:
    """Builds a tree from arrays in host memory, each leaf of the kind that the template has there.

    Args:
      template: the tree; `jax.Array` and `jax.ShapeDtypeStruct` give an array with the sharding
        that they have, NumPy arrays and Python numbers give their like.
      arrays: by path, as from `to_host`; those without elements may be left out.

    Returns:
      A tree of the template's structure.
    """
    leaves = [
        _place(leaf, arrays[path] if path in arrays else _empty(leaf))
        for path, leaf in _named_leaves(template).items()
    ]
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _named_leaves(tree: Any) -> dict[str, Any]:
    """Leaves by path, in the order of the tree."""
    leaves = jax.tree.leaves_with_path(tree)
    # A tree that is one leaf has an empty path, and every array on disk needs a name.
    named = {jax.tree_util.keystr(path, simple=True, separator="/") or ".": x for path, x in leaves}
    if len(named) != len(leaves):
        raise ValueError("two leaves of a tree have the same path: no key may contain a slash")
    return named


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _kind_of_key(leaf: Any) -> str:
    """The implementation of a typed key: "threefry2x32". JAX tells it of arrays only."""
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
    # A template that lies on the default device for want of another gives an array that does too;
    # pinned to the device it would need a compilation of its own.
    sharding = template.sharding if getattr(template, "committed", True) else None
    if _is_key(template):
        # Compiled, since keys cannot be put onto devices of other processes.
        wrap = functools.partial(jax.random.wrap_key_data, impl=_kind_of_key(template))
        return jax.jit(wrap, out_shardings=sharding)(array)
    return jax.device_put(array) if sharding is None else place(array, sharding)
