import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import text_example
from fsl_jax.tasks.making import make_dataset
from fsl_jax.tasks.regression import Regression

TASK = Regression()
COLUMNS = {"text": ("text",), "number": ("score",)}


def test_a_row_is_read():
    assert TASK.read({"text": "fine", "score": "4.5"}, COLUMNS).answer == 4.5


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_written_is_read_back(number):
    example = text_example("any", number)
    assert TASK.parse(TASK.written(example), example) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("The score is 4.5.", 4.5), ("-2", -2), ("none", None), ("1e999", None), (".5", 0.5)],
)
def test_the_first_number_is_read(text, number):
    assert TASK.parse(text, text_example("any", 0.0)) == number


def test_no_answer_is_the_worst_one():
    test = [text_example(str(n), float(n)) for n in range(5)]
    scores = TASK.score([0.0, 1.0, 2.0, 3.0, None], test)
    assert scores["rmse"] == pytest.approx((16 / 5) ** 0.5)
    assert scores["pearson"] < 0.4


def test_details_and_baselines():
    test = [text_example(str(n), float(n)) for n in range(10)]
    (table,) = TASK.details([5.0] * 10, test)
    assert table.rows[0] == ("0 to 1", 5.0, 4.5, 2)
    assert TASK.baselines(test, test)["mean"] == {
        "pearson": 0.0,
        "spearman": 0.0,
        "rmse": pytest.approx(8.25**0.5),
    }


def test_a_split_has_k_examples():
    dataset = make_dataset("s", [text_example(str(n), n / 2) for n in range(50)], task="regression")
    split = TASK.draw(dataset, 8, 1)
    assert (len(split.train), len(split.validation)) == (8, 8)
    assert not set(split.train) & set(split.validation)


@pytest.mark.parametrize(
    ("values", "recognised"),
    [
        ([0.5, 1.5], True),
        ([1.0, 2.0], True),
        (["3.8", "2"], True),
        ([1, 2, 1], False),
        (list(range(40)), True),
        (["a", "b"], False),
        ([True, False], False),
    ],
)
def test_it_is_recognised_by_fractions_and_many_numbers(values, recognised):
    rows = [{"text": "t", "score": value} for value in values]
    assert TASK.recognises(rows, COLUMNS) == recognised
