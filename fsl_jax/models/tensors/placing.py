"""Put a leaf onto devices while reading it, so that each device gets only its own part."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding

from fsl_jax.models.tensors.stored import StoredLeaf


def place_leaf(leaf: StoredLeaf, dtype: Any, sharding: Sharding | None) -> jax.Array:
    """Read a leaf and put it onto devices.

    Host memory holds one layer in the checkpoint's dtype, and one copy of each part for the devices
    of this process, until the devices have it.

    Args:
      leaf: a leaf of a checkpoint.
      dtype: the dtype to which the leaf is cast, layer by layer.
      sharding: the sharding of the array; None puts it onto the first device.

    Returns:
      The array.
    """
    if sharding is None:
        return jax.device_put(leaf.load(dtype))
    everywhere = sharding.addressable_devices_indices_map(leaf.shape)
    indices = {device: index for device, index in everywhere.items() if index is not None}
    # Devices that hold the same part get the same buffer.
    parts = {_bounds(index, leaf.shape): index for index in indices.values()}
    buffers = {
        bounds: np.empty([stop - start for start, stop in bounds], dtype) for bounds in parts
    }
    for layer in [None] if leaf.layers is None else range(leaf.layers):
        array = leaf.read(layer)
        for bounds, index in parts.items():
            _fill(buffers[bounds], array, index, layer)
    arrays: dict[jax.Device, jax.Array] = {}
    for bounds in parts:
        holders = [
            device for device, index in indices.items() if _bounds(index, leaf.shape) == bounds
        ]
        arrays |= {device: jax.device_put(buffers[bounds], device) for device in holders}
        # Free each part as soon as its device has it, before the next part or leaf.
        jax.block_until_ready(list(arrays.values()))
        del buffers[bounds]
    return jax.make_array_from_single_device_arrays(
        leaf.shape, sharding, [arrays[device] for device in indices]
    )


def _bounds(index: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return the start and the stop of a part along each axis."""
    return tuple(axis.indices(size)[:2] for axis, size in zip(index, shape, strict=True))


def _fill(
    buffer: np.ndarray, array: np.ndarray, index: tuple[slice, ...], layer: int | None
) -> None:
    """Copy a device's part of a leaf or of one layer; the layer axis is never sharded."""
    if layer is None:
        buffer[...] = array[index]
    else:
        buffer[layer] = array[index[1:]]
