import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from seqeval import metrics as seqeval
from sklearn.metrics import classification_report

from fsl_jax.tasks.metrics.classes import scores
from fsl_jax.tasks.metrics.entities import entity_counts, tag_counts
from fsl_jax.tasks.parts.iob import to_iob2

TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
tags = st.sampled_from(TAGS)
texts = st.lists(st.lists(st.tuples(tags, tags), min_size=1, max_size=8), min_size=1, max_size=5)


def sides(drawn):
    return tuple([[pair[side] for pair in text] for text in drawn] for side in (0, 1))


def report(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


@given(texts)
def test_strict_entities_equal_those_of_seqeval_and_nervaluate_even_if_tags_are_ill_formed(drawn):
    answers, correct = sides(drawn)
    counts = entity_counts(answers, correct)
    sums = tuple(map(sum, zip(*counts.values(), strict=True))) if counts else (0, 0, 0)
    expected = [
        report(getattr(seqeval, f"{name}_score"), correct, answers)
        for name in ("precision", "recall", "f1")
    ]
    assert scores(*sums) == pytest.approx(tuple(expected))
    if counts:
        strict = Evaluator(correct, answers, tags=list(counts), loader="list").evaluate()
        for kind, each in counts.items():
            found = strict["entities"][kind]["strict"]
            assert scores(*each) == pytest.approx((found.precision, found.recall, found.f1))


@given(texts)
def test_the_report_by_type_equals_that_of_seqeval(drawn):
    answers, correct = sides(drawn)
    counts = entity_counts(answers, correct)
    if counts:
        expected = report(
            seqeval.classification_report, correct, answers, output_dict=True, zero_division=0
        )
        assert {kind: each[2] for kind, each in counts.items()} == {
            kind: each["support"] for kind, each in expected.items() if " avg" not in kind
        }


@given(texts)
def test_the_report_by_tag_equals_that_of_scikit_learn_on_all_words(drawn):
    answers, correct = sides(drawn)
    counts = tag_counts(answers, correct)
    flat = [[tag for text in side for tag in text] for side in (correct, answers)]
    expected = report(classification_report, *flat, output_dict=True, zero_division=0)
    assert "O" not in counts
    assert set(counts) == {tag for side in flat for tag in side} - {"O"}
    for tag, each in counts.items():
        names = ("precision", "recall", "f1-score", "support")
        assert (*scores(*each), each[2]) == pytest.approx([expected[tag][n] for n in names])


def test_tags_of_one_type_stand_together():
    truth = [("B-b", "I-b", "B-a", "I-a")]
    assert list(tag_counts(truth, truth)) == ["B-a", "I-a", "B-b", "I-b"]


def test_no_answer_finds_nothing():
    truth = [to_iob2(["B-LOC", "I-LOC", "O"])]
    assert entity_counts([None], truth) == {"LOC": (0, 0, 1)}
    assert tag_counts([None], truth) == {"B-LOC": (0, 0, 1), "I-LOC": (0, 0, 1)}
    assert entity_counts([("O", "O", "O")], [("O", "O", "O")]) == {}
