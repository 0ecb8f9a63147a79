"""The counts and the table of an evaluation."""

import dataclasses

from fsl_jax.studies.evaluation.evaluate import evaluate_adapter
from fsl_jax.training.predictor import Predictor


def test_what_was_evaluated_and_cut_is_counted(head_evaluation, bert, head_adapter, garden):
    assert head_evaluation.truncated == 1
    assert len(evaluate_adapter(bert, head_adapter, garden, max_test=3).examples) == 3


def test_scores_and_tables_are_those_of_the_task(fixed_evaluation):
    assert fixed_evaluation.scores["accuracy"] == 0.6
    by_class, confusion = fixed_evaluation.tables
    assert by_class.rows[0] == ("fruit", 2 / 3, 1.0, 0.8, 2)
    assert by_class.rows[2] == ("moss", 0.0, 0.0, 0.0, 0)
    assert confusion.rows == (("fruit", 2, 0, 0), ("herb", 1, 1, 1), ("moss", 0, 0, 0))


def test_the_table_is_short_and_says_what_was_cut(fixed_evaluation):
    assert str(fixed_evaluation).splitlines() == [
        "By class",
        "class  precision  recall     F1  support",
        "fruit      0.667   1.000  0.800        2",
        "herb       1.000   0.333  0.500        3",
        "moss       0.000   0.000  0.000        0",
        "",
        "Confusion",
        "correct  fruit  herb  moss",
        "fruit        2     0     0",
        "herb         1     1     1",
        "moss         0     0     0",
        "",
        "accuracy 60.0 % of 5 examples",
        "macro F1 43.3 %",
        "Matthews correlation 0.463",
        "1 texts were longer than 12 tokens and were cut",
    ]


def test_answers_that_were_not_read_are_counted(fixed_evaluation):
    unread = dataclasses.replace(fixed_evaluation, answers=(None, *fixed_evaluation.answers[1:]))
    assert "1 answers could not be read, and count as wrong" in str(unread).splitlines()


def test_answers_that_were_cut_are_counted(bert, head_adapter, garden, monkeypatch):
    predict = Predictor.predict

    def cutting(self, examples):
        return dataclasses.replace(predict(self, examples), cut_answers=[2])

    monkeypatch.setattr(Predictor, "predict", cutting)
    assert evaluate_adapter(bert, head_adapter, garden).cut_answers == 2


def test_how_many_answers_were_cut_is_said(fixed_evaluation, writers):
    cut = dataclasses.replace(fixed_evaluation, formulation=writers["llama"], cut_answers=2)
    expected = "2 of 5 answers were cut at 8 tokens (max_answer of the adapter)"
    assert expected in str(cut).splitlines()


def test_a_line_has_the_probability_of_each_class(fixed_evaluation):
    line = fixed_evaluation.predictions[3]
    assert (line.answer, line.prediction) == ("herb", "moss")
    assert line.probabilities == {"fruit": 0.1, "herb": 0.1, "moss": 0.8}


def test_answers_that_are_no_classes_have_no_probabilities(fixed_evaluation):
    without = dataclasses.replace(fixed_evaluation, logits=None)
    assert {line.probabilities for line in without.predictions} == {None}
