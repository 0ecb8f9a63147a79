"""Packed rows of trees, as the inputs of the program that scores them.

All that depends on the requests is an array here: tokens, the shape of the trees, and what is to be
scored. The shapes depend on the shape of the rows and little else, so that other contexts, labels
and orders need no other program.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import struct
from jax.sharding import Mesh

from fsl_jax.buckets import bucket_length
from fsl_jax.incontext.tree_layout import TreeTokens
from fsl_jax.packing.placements import Placements, RowShape
from fsl_jax.packing.rounding import round_up
from fsl_jax.packing.rows import fill_rows
from fsl_jax.sharding import over_rows, place, replicate

CHUNK = 64
"""The number of tokens whose logits are computed at a time: enough for fast products, and few, so
that the logits of a large vocabulary take little memory."""

EDGES_PER_PLACE = 4
"""There is room for so many edges for each place of the rows, or for a power of it. Unused room
costs next to nothing, and with little room, batches would differ in their shape."""


# The fields below are leaves of pytrees, so annotations cannot be checked as shapes.


@struct.dataclass
class TreeRows:
    """Trees in R packed rows of T tokens, with E edges to score.

    Attributes:
      input_ids: the token ids, int32 `[R, T]`.
      segment_ids: the tree of each token, from 1; 0 for padding, int32 `[R, T]`.
      sizes: the number of tokens of the subtree that begins with each token, int32 `[R, T]`.
      sources: the places of the tokens from which edges lead, int32 `[M]`, padded with 0.
      count: the number of these places, int32 `[]`.
      edge_sources: the index of each edge's source in `sources`, int32 `[E]`.
      edge_targets: the token id to which each edge leads, int32 `[E]`.
      encoder_ids: the tokens of an encoder, int32 `[R, S]`; None for a decoder.
      encoder_segments: the tree to which each of them belongs, int32 `[R, S]`.
    """

    input_ids: Any
    segment_ids: Any
    sizes: Any
    sources: Any
    count: Any
    edge_sources: Any
    edge_targets: Any
    encoder_ids: Any = None
    encoder_segments: Any = None


def fill_tree_rows(trees: Sequence[TreeTokens], placements: Placements) -> TreeRows:
    """Fill the packed rows of one batch.

    Args:
      trees: all trees.
      placements: the trees of the batch and their places, in rows that are as long as the longer of
        an encoder's and a decoder's tokens.

    Returns:
      The rows, as NumPy arrays. The edges of the trees follow one another in the order of the
      placements, without those of weight 0.
    """
    encoder_ids = encoder_segments = None
    if trees[0].encoded:
        encoder = fill_rows([tree.encoded for tree in trees], placements)
        encoder_ids, encoder_segments = encoder.input_ids, encoder.segment_ids
        placements = _decoder_placements(trees, placements)
    batch = fill_rows([tree.tokens for tree in trees], placements)
    sizes = fill_rows([tree.sizes for tree in trees], placements).input_ids
    sources, edge_sources, edge_targets = _edges(trees, placements)
    places = placements.shape.tokens
    edges = places * EDGES_PER_PLACE
    while edges < len(edge_targets):
        edges *= EDGES_PER_PLACE
    return TreeRows(
        batch.input_ids,
        batch.segment_ids,
        sizes,
        _padded(sources, round_up(places, CHUNK)),
        np.int32(len(sources)),
        _padded(edge_sources, edges),
        _padded(edge_targets, edges),
        encoder_ids,
        encoder_segments,
    )


def place_tree_rows(rows: TreeRows, mesh: Mesh | None) -> TreeRows:
    """Put packed rows onto the devices, spread evenly if possible.

    Args:
      rows: the rows, from `fill_tree_rows`, equal in every process.
      mesh: the mesh; None for one device.

    Returns:
      The rows. What is to be scored is whole on each device.
    """
    whole = replicate(rows, mesh)
    if mesh is None:
        return whole
    names = ("input_ids", "segment_ids", "sizes", "encoder_ids", "encoder_segments")
    by_row = {name: getattr(rows, name) for name in names}
    sharding = over_rows(mesh, len(rows.input_ids))
    return whole.replace(**place(by_row, jax.tree.map(lambda _: sharding, by_row)))


def _decoder_placements(trees: Sequence[TreeTokens], placements: Placements) -> Placements:
    """Return the places of the decoder's tokens, which are in the same rows as the encoder's."""
    counts, shape = placements.weight > 0, placements.shape
    lengths = np.array([len(trees[number].tokens) for number in placements.examples], np.int32)
    lengths[~counts] = 0
    # Trees of weight 0 are counted for a row that does not exist.
    row = np.where(counts, placements.starts // shape.length, shape.rows)
    order = np.argsort(row, kind="stable")
    ends = np.cumsum(lengths[order], dtype=np.int32)
    tokens = np.bincount(row, weights=lengths, minlength=shape.rows + 1).astype(np.int32)
    length = bucket_length(int(tokens.max()), shape.length)
    before = np.cumsum(tokens, dtype=np.int32) - tokens
    starts = np.zeros_like(placements.starts)
    starts[order] = row[order] * length + ends - lengths[order] - before[row[order]]
    starts[~counts] = 0
    decoder = RowShape(shape.rows, length, shape.slots)
    return dataclasses.replace(placements, starts=starts, shape=decoder)


def _edges(
    trees: Sequence[TreeTokens], placements: Placements
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the places from which edges lead, and for each edge its source and its target."""
    chosen = [
        (trees[number], start)
        for number, start, weight in zip(
            placements.examples, placements.starts, placements.weight, strict=True
        )
        if weight > 0
    ]
    places = [tree.branches.sources + (start + len(tree.chain) - 1) for tree, start in chosen]
    sources, edge_sources = np.unique(np.concatenate(places), return_inverse=True)
    targets = np.concatenate([tree.branches.targets for tree, _ in chosen])
    return sources, edge_sources, targets


def _padded(numbers: np.ndarray, length: int) -> np.ndarray:
    return np.pad(numbers.astype(np.int32), (0, length - len(numbers)))
