import numpy as np

from fsl_jax.studies.running.prepare import chunked, slice_runs


def test_chunks_are_even_and_only_what_fills_them_has_no_weight():
    rows = np.arange(14, dtype=np.int32).reshape(2, 7)
    chunks, weight = chunked(rows, 3)
    assert chunks.shape == weight.shape == (2, 3, 3)
    np.testing.assert_array_equal(chunks.reshape(2, -1)[:, :7], rows)
    assert weight.sum() == 14
    assert set(chunks.reshape(2, -1)[0, 7:]) == {6}


def test_one_chunk_where_all_fit():
    chunks, weight = chunked(np.zeros((1, 5), np.int32), 32)
    assert chunks.shape == (1, 1, 5)
    assert weight.all()


def test_a_group_is_cut_out_of_every_leaf():
    tree = {"a": np.arange(4), "b": {"c": np.arange(8).reshape(4, 2)}}
    cut = slice_runs(tree, range(1, 3))
    np.testing.assert_array_equal(cut["a"], [1, 2])
    np.testing.assert_array_equal(cut["b"]["c"], [[2, 3], [4, 5]])
