"""Make a batch of a few examples without a study: one example a row, or packed tightly."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.packing.batch import Batch
from fsl_jax.packing.fitting import fit, largest_count
from fsl_jax.packing.placements import Placements, RowShape
from fsl_jax.packing.rounding import divide_up
from fsl_jax.packing.rows import fill_rows


def unpacked_batch(
    segments: Sequence[Sequence[int]],
    targets: Any = None,
    features: Mapping[str, np.ndarray] | None = None,
    length: int | None = None,
) -> Batch:
    """Make a batch with one example in each row, from its first column on.

    Args:
      segments: the token ids of each of B examples, from `Formulation.segments`.
      targets: what is to be predicted: an array `[B, ...]`, or a tree of such.
      features: what the formulation needs to know of each segment, as arrays `[B, ...]`.
      length: T; by default that of the longest example.

    Returns:
      The batch, with R = B.
    """
    length = length or max(map(len, segments))
    starts = np.arange(len(segments), dtype=np.int32) * length
    placed = _placements(starts, RowShape(len(segments), length, slots=1))
    return _batch(segments, placed, targets, features)


def packed_batch(
    segments: Sequence[Sequence[int]],
    targets: Any = None,
    features: Mapping[str, np.ndarray] | None = None,
    length: int | None = None,
) -> Batch:
    """Make a batch in as few rows as are found, with the longest examples placed first.

    Args:
      segments: as for `unpacked_batch`.
      targets: as for `unpacked_batch`.
      features: as for `unpacked_batch`.
      length: as for `unpacked_batch`.

    Returns:
      The batch, in the order of the segments.
    """
    sizes = np.array([[len(ids) for ids in segments]], np.int32)
    length = length or int(sizes.max())
    for rows in range(divide_up(int(sizes.sum()), length), len(segments) + 1):
        starts, fits = fit(sizes, RowShape(rows, length, len(segments)))
        if fits.all():
            break
    shape = RowShape(rows, length, len(segments))
    shape = dataclasses.replace(shape, slots=largest_count(sizes, starts, shape))
    return _batch(segments, _placements(starts[0], shape), targets, features)


def _placements(starts: np.ndarray, shape: RowShape) -> Placements:
    """Return the placements of all segments, in their order."""
    numbers = np.arange(len(starts), dtype=np.int32)
    return Placements(numbers, starts, np.ones(len(starts), np.float32), shape)


def _batch(
    segments: Sequence[Sequence[int]],
    placements: Placements,
    targets: Any,
    features: Mapping[str, np.ndarray] | None,
) -> Batch:
    rows = fill_rows(segments, placements, features)
    return jax.tree.map(jnp.asarray, dataclasses.replace(rows, targets=targets))
