import numpy as np
import pytest

from fsl_jax.incontext.tree_layout import TreeTokens
from fsl_jax.incontext.tree_rows import (
    CHUNK,
    EDGES_PER_PLACE,
    fill_tree_rows,
    place_tree_rows,
)
from fsl_jax.incontext.trees import make_branches
from fsl_jax.packing.windows import Packer

ENDS = [((3,),), ((3,), (4, 5)), ((3, 4, 5), (3, 4, 6, 7), (8, 9)), ((1, 2, 3, 4, 5, 6),)]


def drawn_trees(encodes, count=40):
    random = np.random.default_rng(0)

    def ids(most):
        return tuple(random.integers(1, 90, random.integers(1, most)).tolist())

    branches = [make_branches(each) for each in ENDS]
    chosen = random.integers(len(ENDS), size=count)
    chains = [(0,) if encodes else ids(20) for _ in range(count)]
    encoded = [ids(20) if encodes else () for _ in range(count)]
    return [
        TreeTokens(chain, branches[number], read)
        for chain, number, read in zip(chains, chosen, encoded, strict=True)
    ]


KINDS = {"decoder": False, "encoder-decoder": True}


@pytest.fixture(params=KINDS)
def batches(request):
    """Trees, and their packed rows with the placements."""
    trees = drawn_trees(KINDS[request.param])
    lengths = np.array([tree.length for tree in trees], np.int32)
    packed = list(Packer(128).pack(lengths))
    assert len(packed) > 1
    return trees, [(placements, fill_tree_rows(trees, placements)) for placements in packed]


def ancestors(rows, row, column):
    """The tokens that a token sees."""
    ends = np.arange(rows.sizes.shape[1]) + rows.sizes[row]
    seen = [other for other in range(column + 1) if column < ends[other]]
    return rows.input_ids[row, seen].tolist()


def test_edges_are_where_their_sources_stand(batches):
    trees, filled = batches
    for placements, rows in filled:
        members = placements.examples[placements.weight > 0]
        expected = [
            (list(trees[number].chain + continuation[:end]), continuation[end])
            for number in members
            for continuation, end in edges_of(trees[number])
        ]
        length, found = rows.input_ids.shape[1], []
        for source, target in zip(rows.edge_sources, rows.edge_targets, strict=True):
            assert source < rows.count or not rows.count
            place = rows.sources[source]
            found.append((ancestors(rows, place // length, place % length), target))
        assert found[: len(expected)] == expected
        assert len(np.unique(rows.sources[: rows.count])) == rows.count


def edges_of(tree):
    """The edges of a tree in order, each by one of the continuations that it belongs to."""
    edges = {}
    for continuation, path in tree.branches.paths.items():
        for end, edge in enumerate(path):
            edges[edge] = (continuation, end)
    return [edges[edge] for edge in sorted(edges)]


@pytest.mark.parametrize("batches", ["encoder-decoder"], indirect=True)
def test_trees_stand_beside_what_is_encoded_for_them(batches):
    trees, filled = batches
    for placements, rows in filled:
        for index in np.flatnonzero(placements.weight > 0):
            tree = trees[placements.examples[index]]
            read = rows.encoder_segments == index + 1
            written = rows.segment_ids == index + 1
            assert rows.encoder_ids[read].tolist() == list(tree.encoded)
            assert rows.input_ids[written].tolist() == list(tree.tokens)
            assert read.any(axis=1).tolist() == written.any(axis=1).tolist()
        assert rows.input_ids.shape[1] <= rows.encoder_ids.shape[1]


def test_shapes_depend_on_the_rows_alone(batches):
    for placements, rows in batches[1]:
        places = rows.input_ids.size
        assert rows.edge_targets.shape == rows.edge_sources.shape == (EDGES_PER_PLACE * places,)
        assert rows.sources.shape == (-(-places // CHUNK) * CHUNK,)
        assert place_tree_rows(rows, None).input_ids.dtype == np.int32
        assert rows.input_ids.shape[0] == placements.shape.rows


def test_many_edges_have_room():
    tree = TreeTokens((1,), make_branches([(number,) for number in range(1000)]))
    (placements,) = Packer(64).pack(np.array([1], np.int32))
    rows = fill_tree_rows([tree], placements)
    assert rows.edge_targets[:1000].tolist() == list(range(1000))
    assert rows.count == 1
    assert len(rows.edge_targets) < 16 * max(rows.input_ids.size, 1000)
