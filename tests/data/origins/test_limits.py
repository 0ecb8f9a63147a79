from fsl_jax.data.origins.limits import MOST_ROWS, first_rows
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.rows import Rows


def test_a_limit_is_said_only_where_it_cuts():
    rows = Rows("hf:org/name (train)", unit="row")
    assert list(first_rows(range(3), ReadOptions(max_rows=3), rows)) == [0, 1, 2]
    assert rows.remarks == []
    assert list(first_rows(iter(range(4)), ReadOptions(max_rows=3), rows)) == [0, 1, 2]
    assert rows.remarks == [
        "The first 3 rows of hf:org/name (train) were read; max_rows allows more."
    ]


def test_there_is_a_limit_by_default():
    rows = Rows("source", unit="row")
    assert len(list(first_rows(range(MOST_ROWS + 1), ReadOptions(), rows))) == MOST_ROWS
