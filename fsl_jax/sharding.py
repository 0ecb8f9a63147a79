"""The mesh of devices, and the layout of parameters over its axes.

The mesh has the axes `runs` (runs of one program), `batch` (examples) and `model` (a weight's
columns or rows). Models do not know the mesh: one table maps patterns of paths to axes.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from fsl_jax.errors import InputError

AXES = ("runs", "batch", "model")

RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    (r"(^|/)embeddings/word/embedding$", ("model", None)),
    (r"layers/((cross_)?attention|mlp)/(query|key|value|up|gate)/kernel$", (None, "model")),
    (r"layers/((cross_)?attention|mlp)/(query|key|value|up|gate)/bias$", ("model",)),
    (r"layers/((cross_)?attention|mlp)/(output|down)/kernel$", ("model", None)),
    (r"(^|/)unembedding/kernel$", (None, "model")),
    # Each device holds complete copies of small leaves, norms and all added leaves.
    (r".", ()),
)
"""Patterns of paths, and the mesh axes of the last axes of a leaf. The first match counts.

The first product of a layer is divided by columns and the second by rows, so that the activations
between them stay on their device: Shoeybi et al., 2019, "Megatron-LM",
https://arxiv.org/abs/1909.08053.
"""


def make_mesh(
    runs: int = 1, batch: int = 1, model: int = 1, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """Make a mesh over the devices of all processes.

    Args:
      runs: the number of groups of devices over which the runs of a program are sharded.
      batch: the number of groups over which the examples of a batch are sharded.
      model: the number of groups over which a weight is sharded.
      devices: the devices to choose from; by default all.

    Returns:
      A mesh with the axes `runs`, `batch` and `model`, over as many of the first devices as needed.

    Raises:
      InputError: the product of the sizes does not fit the number of devices, or the sizes do not
        fit the connections between them.
    """
    sizes, devices = (runs, batch, model), list(devices or jax.devices())
    needed, processes = runs * batch * model, len({device.process_index for device in devices})
    flags = f"--mesh_runs={runs} --mesh_batch={batch} --mesh_model={model}"
    if min(sizes) < 1:
        raise InputError(f"{flags}: expected sizes of 1 or more")
    if needed > len(devices):
        raise InputError(
            f"{flags} needs {needed} devices and there are {len(devices)}: choose sizes whose "
            "product is at most that"
        )
    if len(devices) % needed:
        raise InputError(
            f"{flags} takes {needed} of {len(devices)} devices: choose sizes whose product divides "
            "their number"
        )
    if processes > 1 and needed < len(devices):
        raise InputError(
            f"{flags} takes {needed} of the {len(devices)} devices of {processes} processes, and "
            f"all have to take part: choose sizes whose product is {len(devices)}"
        )
    try:
        return _lay_out(sizes, devices[:needed])
    # An assertion fails for devices that are not whole chips.
    except (NotImplementedError, AssertionError, ValueError) as error:
        raise InputError(_mesh_problem(flags, devices[:needed], error)) from error


def unused_devices(runs: int, batch: int, model: int) -> str:
    """Return a warning if a mesh leaves devices unused; empty if it uses all.

    Args:
      runs: as for `make_mesh`.
      batch: as for `make_mesh`.
      model: as for `make_mesh`.

    Returns:
      A sentence that names the flag with which all devices are used.
    """
    used, count = runs * batch * model, jax.device_count()
    if used >= count:
        return ""
    verb = "is" if used == 1 else "are"
    return (
        f"{used} of {count} devices {verb} used. --mesh_runs={count} spreads the runs of a program "
        "over all of them; --mesh_batch and --mesh_model spread batches and weights"
    )


def _lay_out(sizes: Sequence[int], devices: Sequence[jax.Device]) -> Mesh:
    return jax.make_mesh(tuple(sizes), AXES, (AxisType.Auto,) * 3, devices=devices)


def _mesh_problem(flags: str, devices: Sequence[jax.Device], error: Exception) -> str:
    """Describe why devices cannot be laid out, and list the sizes for which they can."""
    possible = [sizes for sizes in _factors(len(devices)) if _is_possible(sizes, devices)]
    if not possible:
        return f"{flags}: JAX cannot make a mesh of these devices: {error}"
    listed = ", ".join(" × ".join(map(str, sizes)) for sizes in possible)
    return (
        f"{flags} would split an axis of the connections between the {len(devices)} devices: "
        f"choose sizes of runs × batch × model from {listed}"
    )


def _factors(count: int) -> list[tuple[int, int, int]]:
    """Return all sizes of the three axes whose product is a number."""
    divisors = [size for size in range(1, count + 1) if count % size == 0]
    pairs = itertools.product(divisors, divisors)
    return [(a, b, count // (a * b)) for a, b in pairs if count % (a * b) == 0]


def _is_possible(sizes: Sequence[int], devices: Sequence[jax.Device]) -> bool:
    try:
        _lay_out(sizes, devices)
    except (NotImplementedError, AssertionError, ValueError):
        return False
    return True


def partition_spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """Return the partition spec of the leaf at a path.

    Args:
      path: the path of the leaf, such as `layers/attention/query/kernel`; it may have a prefix.
      shape: the shape of the leaf, with stacked axes first.
      mesh: the mesh; an axis is left out if its size does not divide the size of the leaf's axis.

    Returns:
      The specification.
    """
    axes = next(axes for pattern, axes in RULES if re.search(pattern, path))
    placed = (None,) * (len(shape) - len(axes)) + axes
    return PartitionSpec(
        *(
            axis if axis and size % mesh.shape[axis] == 0 else None
            for axis, size in zip(placed, shape, strict=True)
        )
    )


def parameter_shardings(params: Any, mesh: Mesh) -> Any:
    """Return the sharding of each leaf of a parameter tree.

    Args:
      params: a nested dict of arrays or shapes; a leaf may be `None`.
      mesh: the mesh.

    Returns:
      A tree of the same structure.
    """

    def sharding(path: Any, leaf: Any) -> NamedSharding:
        return NamedSharding(mesh, partition_spec(_name(path), leaf.shape, mesh))

    return jax.tree_util.tree_map_with_path(sharding, params)


def run_shardings(tree: Any, mesh: Mesh) -> Any:
    """Return the sharding of each leaf that differs between the runs of a program.

    Args:
      tree: a pytree of arrays or shapes, stacked on a leading axis of runs; a scalar is the same
        for all runs. A leaf whose path ends like that of a parameter, such as an optimiser moment
        of a weight, is sharded like the parameter.
      mesh: the mesh.

    Returns:
      A tree of the same structure.
    """

    def sharding(path: Any, leaf: Any) -> NamedSharding:
        if not leaf.shape:
            return replicated(mesh)
        spec = partition_spec(_name(path), leaf.shape[1:], mesh)
        return NamedSharding(mesh, PartitionSpec("runs", *spec))

    return jax.tree_util.tree_map_with_path(sharding, tree)


def require_divided(shardings: Any, mesh: Mesh) -> None:
    """Raise an error if the mesh axis `model` divides none of the weights.

    Args:
      shardings: the result of `parameter_shardings` for all parameters of a model.
      mesh: the mesh.

    Raises:
      InputError: each device would hold the whole model.
    """
    divided = any("model" in sharding.spec for sharding in jax.tree.leaves(shardings))
    if mesh.shape["model"] > 1 and not divided:
        raise InputError(
            f"--mesh_model={mesh.shape['model']} divides none of the model's weights: choose a "
            "divisor of its width"
        )


def place(tree: Any, shardings: Any) -> Any:
    """Place arrays on the devices of a mesh, which may belong to several processes.

    Args:
      tree: a pytree of NumPy arrays, of arrays on one device (equal in every process), or of arrays
        with another sharding on the mesh.
      shardings: the sharding of each array.

    Returns:
      The arrays in the same structure.
    """
    return jax.tree.map(_place_leaf, tree, shardings)


def over_batch(mesh: Mesh) -> NamedSharding:
    """Return the sharding of arrays whose first axis is the rows or the examples of a batch."""
    return NamedSharding(mesh, PartitionSpec("batch"))


def device_rows(mesh: Mesh | None) -> int:
    """Return a number of rows that can be sharded evenly by `over_rows`."""
    return 1 if mesh is None else mesh.shape["runs"] * mesh.shape["batch"]


def over_rows(mesh: Mesh, count: int) -> NamedSharding:
    """Return the sharding of arrays whose first axis is rows of examples that all runs share.

    Args:
      mesh: the mesh.
      count: the number of rows; if they cannot be sharded evenly, each device holds all of them.

    Returns:
      The sharding.
    """
    even = count % device_rows(mesh) == 0
    return NamedSharding(mesh, PartitionSpec(("runs", "batch")) if even else PartitionSpec())


def replicate(tree: Any, mesh: Mesh | None) -> Any:
    """Put arrays onto the devices, each of which holds them completely.

    Args:
      tree: a pytree of arrays, equal in every process.
      mesh: the mesh; None for one device.

    Returns:
      The arrays in the same structure.
    """
    if mesh is None:
        return jax.tree.map(jax.numpy.asarray, tree)
    return place(tree, jax.tree.map(lambda _: replicated(mesh), tree))


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding of arrays that each device holds completely."""
    return NamedSharding(mesh, PartitionSpec())


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _place_leaf(leaf: Any, sharding: Sharding) -> jax.Array:
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    if is_key and not sharding.is_fully_addressable:
        # `device_put` cannot put keys on devices of other processes.
        return jax.jit(lambda keys: keys, out_shardings=sharding)(leaf)
    across = isinstance(leaf, jax.Array) and not leaf.is_fully_addressable
    if sharding.is_fully_addressable or across:
        return jax.device_put(leaf, sharding)
    # `device_put` would send every leaf to all processes to check that it is the same in all.
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
