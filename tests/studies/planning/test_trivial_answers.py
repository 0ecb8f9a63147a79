"""Trivial answers of a task score its first metric."""

import pytest

from fsl_jax.data.examples import text_example
from fsl_jax.studies.planning.trivial_answers import trivial_answers
from fsl_jax.tasks import make_dataset


def test_trivial_answers_score_the_first_metric_on_the_test_set():
    train = [text_example(f"text {number}", "a" if number < 3 else "b") for number in range(4)]
    test = [text_example(f"query {number}", "a" if number < 7 else "b") for number in range(10)]
    dataset = make_dataset("few", train, test=test)
    found = trivial_answers(dataset, dataset.test)
    assert found["majority"] == pytest.approx(0.7)
    assert found["chance"] == pytest.approx(0.5)
    assert trivial_answers(dataset, dataset.test[:7])["majority"] == 1
