"""The counts and the table of an evaluation."""

import numpy as np

from fsl_jax.studies.evaluation.evaluate import evaluate_adapter


def test_what_was_evaluated_and_cut_is_counted(head_evaluation, bert, head_adapter, garden):
    assert head_evaluation.truncated == 1
    assert len(evaluate_adapter(bert, head_adapter, garden, max_test=3).examples) == 3


def test_counts_by_class(fixed_evaluation):
    evaluation = fixed_evaluation
    assert evaluation.accuracy == 0.6
    np.testing.assert_array_equal(evaluation.confusion, [[1, 1, 1], [0, 2, 0], [0, 0, 0]])
    assert evaluation.classes["fruit"] == {
        "examples": 2,
        "predicted": 3,
        "correct": 2,
        "precision": 2 / 3,
        "recall": 1.0,
        "f1": 0.8,
    }
    assert evaluation.classes["moss"] == {
        "examples": 0,
        "predicted": 1,
        "correct": 0,
        "precision": 0.0,
        "recall": None,
        "f1": 0.0,
    }


def test_the_table_is_short_and_says_what_was_cut(fixed_evaluation):
    assert str(fixed_evaluation).splitlines() == [
        "class   examples  predicted    correct  precision     recall         f1",
        "herb           3          1          1      1.000      0.333      0.500",
        "fruit          2          3          2      0.667      1.000      0.800",
        "moss           0          1          0      0.000          -      0.000",
        "",
        "accuracy 60.0% (3 of 5)",
        "1 texts were longer than 12 tokens and were cut",
    ]
