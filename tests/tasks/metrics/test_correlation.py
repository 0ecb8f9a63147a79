import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.tasks.metrics.correlation import number_scores

numbers = st.integers(-50, 50).map(lambda n: n / 4)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=20))
def test_they_equal_the_textbook(drawn):
    answers, correct = map(np.array, zip(*drawn, strict=True))
    scores = number_scores(list(answers), list(correct))
    assert scores["rmse"] == pytest.approx(np.sqrt(((answers - correct) ** 2).mean()))
    if np.ptp(answers) and np.ptp(correct):
        assert scores["pearson"] == pytest.approx(np.corrcoef(answers, correct)[0, 1], abs=1e-9)
        ranks = [
            (side[:, None] > side).sum(1) + (side[:, None] == side).sum(1) / 2
            for side in (answers, correct)
        ]
        assert scores["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)


@pytest.mark.parametrize(
    ("answers", "correct"), [([1.0, 1.0], [0.0, 2.0]), ([0.0, 2.0], [1.0, 1.0]), ([3.0], [3.0])]
)
def test_constants_correlate_with_nothing(answers, correct):
    scores = number_scores(answers, correct)
    assert (scores["pearson"], scores["spearman"]) == (0.0, 0.0)


def test_numbers_far_from_zero_keep_their_differences():
    assert number_scores([1e9, 1e9 + 1], [0.0, 1.0])["pearson"] == pytest.approx(1.0)
