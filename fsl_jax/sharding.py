"""The mesh, and which parameter is laid out along which of its axes.

The mesh has the axes `runs` (runs of one program), `batch` (examples) and `model` (a weight's
columns or rows). Modules know nothing of it: one table goes from path patterns to axes.
"""

import re
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fsl_jax.errors import InputError

AXES = ("runs", "batch", "model")

RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    (r"embeddings/word/embedding$", ("model", None)),
    (r"(query|key|value|up|gate)/kernel$", (None, "model")),
    (r"(query|key|value|up)/bias$", ("model",)),
    (r"(output|down)/kernel$", ("model", None)),
    (r"^unembedding/kernel$", (None, "model")),
    # Small leaves, norms and everything that a method adds are whole on each device.
    (r".", ()),
)
"""First match wins; an entry says how the last axes of a leaf are laid out, stacked ones before."""


def make_mesh(runs: int = 1, batch: int = 1, model: int = 1) -> Mesh:
    """A mesh over the devices of all processes.

    Args:
      runs: how many groups of devices the runs of a program are spread over.
      batch: how many the examples of a batch are spread over.
      model: how many a weight is spread over.

    Returns:
      A mesh with the axes `runs`, `batch` and `model`, over the first devices that it needs.

    Raises:
      InputError: there are fewer devices than the product of the sizes.
    """
    needed, devices = runs * batch * model, jax.devices()
    if min(runs, batch, model) < 1 or needed > len(devices) or len(devices) % needed:
        raise InputError(
            f"a mesh of {runs} x {batch} x {model} (runs, batch, model) needs {needed} devices, and "
            f"their number has to divide the {len(devices)} that there are"
        )
    automatic = (AxisType.Auto,) * 3
    return jax.make_mesh((runs, batch, model), AXES, automatic, devices=devices[:needed])


def partition_spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """How the leaf at a path is laid out.

    Args:
      path: the leaf's path, such as `layers/attention/query/kernel`.
      shape: its shape, with stacked axes first.
      mesh: the mesh; an axis that does not divide the leaf's is left out.

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
    """The sharding of each leaf of a parameter tree.

    Args:
      params: a nested dict of arrays or shapes; `None` where a leaf is absent.
      mesh: the mesh.

    Returns:
      A tree of the same structure.
    """

    def sharding(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        name = "/".join(str(part.key) for part in path)
        return NamedSharding(mesh, partition_spec(name, leaf.shape, mesh))

    return jax.tree_util.tree_map_with_path(sharding, params)


def over_runs(mesh: Mesh) -> NamedSharding:
    """The sharding of arrays whose first axis is the runs of a program."""
    return NamedSharding(mesh, PartitionSpec("runs"))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of arrays that are whole on each device."""
    return NamedSharding(mesh, PartitionSpec())
