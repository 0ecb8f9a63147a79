from fsl_jax.data.readers.objects import MOST_COLUMNS, add_objects
from fsl_jax.data.rows import Row, Rows


def test_columns_come_as_they_first_appear_and_missing_values_are_none():
    rows = Rows("rows.jsonl", unit="line")
    add_objects(rows, [(1, {"b": 1}), (3, {"a": 2, "b": 3})])
    assert rows.columns == ("b", "a")
    assert rows.rows == [Row(1, {"b": 1, "a": None}), Row(3, {"b": 3, "a": 2})]


def test_names_that_differ_in_each_object_are_no_columns():
    rows = Rows("rows.jsonl", unit="line")
    add_objects(rows, [(n, {f"name {n}": n}) for n in range(1, MOST_COLUMNS + 3)])
    assert rows.rows == []
    (problem,) = rows.malformed
    assert problem.startswith("line 1001: the objects have more than 1,000 different names")
