"""Putting a leaf onto devices as it is read, each device's part alone."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding

from fsl_jax.models.tensors.tensor_map import StoredLeaf


def place_leaf(leaf: StoredLeaf, dtype: Any, sharding: Sharding | None) -> jax.Array:
    """Reads a leaf and lays it out.

    The host's memory holds the parts of this leaf that this process's devices get, each once and
    until they have it, and one layer of it as the checkpoint has it.

    Args:
      leaf: of a checkpoint.
      dtype: to which it is cast, layer by layer.
      sharding: how it is to be laid out; None puts it on the first device.

    Returns:
      The array.
    """
    if sharding is None:
        return jax.device_put(leaf.load(dtype))
    everywhere = sharding.addressable_devices_indices_map(leaf.shape)
    places = {device: index for device, index in everywhere.items() if index is not None}
    # Devices that hold the same part are given the same buffer.
    parts = {_bounds(index, leaf.shape): index for index in places.values()}
    buffers = {
        bounds: np.empty([stop - start for start, stop in bounds], dtype) for bounds in parts
    }
    for layer in [None] if leaf.layers is None else range(leaf.layers):
        array = leaf.read(layer)
        for bounds, index in parts.items():
            _fill(buffers[bounds], array, index, layer)
    arrays: dict[jax.Device, jax.Array] = {}
    for bounds in parts:
        own = {device for device, index in places.items() if _bounds(index, leaf.shape) == bounds}
        arrays |= {device: jax.device_put(buffers[bounds], device) for device in own}
        # What a device has is not held here any longer, nor while the next leaf is read.
        jax.block_until_ready(list(arrays.values()))
        del buffers[bounds]
    return jax.make_array_from_single_device_arrays(
        leaf.shape, sharding, [arrays[device] for device in places]
    )


def _bounds(index: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Where a part begins and ends along each axis."""
    return tuple(each.indices(size)[:2] for each, size in zip(index, shape, strict=True))


def _fill(
    buffer: np.ndarray, array: np.ndarray, index: tuple[slice, ...], layer: int | None
) -> None:
    """Copies a device's part of a leaf, or of one layer of it; layers are never spread."""
    if layer is None:
        buffer[...] = array[index]
    else:
        buffer[layer] = array[index[1:]]
