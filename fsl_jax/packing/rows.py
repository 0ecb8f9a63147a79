"""Fill packed rows on the host, for batches whose tokens do not lie in a pool on a device."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from fsl_jax.packing.batch import Batch
from fsl_jax.packing.placements import Placements
from fsl_jax.packing.pool import make_pool
from fsl_jax.sharding import over_rows, place, replicate


def fill_rows(
    segments: Sequence[Sequence[int]],
    placements: Placements,
    features: Mapping[str, np.ndarray] | None = None,
) -> Batch:
    """Return the packed rows of one batch, the same as `gather` makes of a pool.

    Its arrays depend on the shape of the placements only, so one compiled program reads all batches
    of a shape, whatever the number of the segments.

    Args:
      segments: the token ids of each of E segments.
      placements: the segments and their places, `[B]`; each is an example of its own.
      features: what a formulation needs to know of each segment, as arrays `[E, ...]`.

    Returns:
      The batch, as NumPy arrays, without targets.
    """
    shape = placements.shape
    counts = placements.weight > 0
    chosen = make_pool([segments[number] for number in placements.examples[counts]])
    place = np.arange(len(chosen.tokens)) + np.repeat(
        placements.starts[counts] - chosen.begins, chosen.lengths
    )
    input_ids, segment_ids = np.zeros((2, shape.tokens), np.int32)
    input_ids[place] = chosen.tokens
    segment_ids[place] = np.repeat(np.flatnonzero(counts) + 1, chosen.lengths)
    lengths = np.zeros_like(placements.starts)
    lengths[counts] = chosen.lengths
    return Batch(
        input_ids=input_ids.reshape(shape.rows, -1),
        segment_ids=segment_ids.reshape(shape.rows, -1),
        starts=placements.starts,
        lengths=lengths,
        weight=placements.weight,
        features={name: rows[placements.examples] for name, rows in (features or {}).items()},
        slots=shape.slots,
    )


def place_rows(batch: Batch, mesh: Mesh | None) -> Batch:
    """Put packed rows that all runs share onto the devices, spread evenly if possible.

    Args:
      batch: the rows, from `fill_rows`, equal in every process.
      mesh: the mesh; None for one device.

    Returns:
      The rows. The arrays of examples are whole on each device.
    """
    whole = replicate(batch, mesh)
    if mesh is None:
        return whole
    rows = batch.input_ids, batch.segment_ids
    sharding = over_rows(mesh, len(batch.input_ids))
    input_ids, segment_ids = place(rows, jax.tree.map(lambda _: sharding, rows))
    return dataclasses.replace(whole, input_ids=input_ids, segment_ids=segment_ids)
