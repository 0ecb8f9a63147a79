import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from fsl_jax.tasks.metrics.classes import (
    NONE,
    accuracy,
    class_table,
    confusion_table,
    macro_f1,
    matthews,
)

labels = st.sampled_from(["a", "b", "c d", "é"])
pairs = st.lists(st.tuples(labels, labels), min_size=1, max_size=20)
unreadable = st.lists(st.tuples(st.none() | labels, labels), min_size=1, max_size=20)


@given(pairs)
def test_they_equal_those_of_scikit_learn(drawn):
    answers, correct = map(list, zip(*drawn, strict=True))
    assert accuracy(answers, correct) == pytest.approx(metrics.accuracy_score(correct, answers))
    expected = metrics.f1_score(correct, answers, average="macro", zero_division=0)
    assert macro_f1(answers, correct) == pytest.approx(expected)
    if len({*answers, *correct}) > 1:
        expected = metrics.matthews_corrcoef(correct, answers)
        assert matthews(answers, correct) == pytest.approx(expected)


@given(unreadable)
def test_no_answer_is_a_wrong_one_and_no_class_of_its_own(drawn):
    answers, correct = map(list, zip(*drawn, strict=True))
    given = [NONE if answer is None else answer for answer in answers]
    classes = sorted({*given, *correct} - {NONE})
    expected = metrics.f1_score(correct, given, labels=classes, average="macro", zero_division=0)
    assert macro_f1(answers, correct) == pytest.approx(expected)
    assert accuracy(answers, correct) == pytest.approx(metrics.accuracy_score(correct, given))


@given(pairs)
def test_the_table_equals_the_report_of_scikit_learn(drawn):
    answers, correct = map(list, zip(*drawn, strict=True))
    table = class_table(answers, correct)
    report = metrics.classification_report(correct, answers, output_dict=True, zero_division=0)
    assert table.columns == ("class", "precision", "recall", "F1", "support")
    for label, *numbers in table.rows:
        expected = [report[label][n] for n in ("precision", "recall", "f1-score", "support")]
        assert numbers == pytest.approx(expected)
    assert [row[0] for row in table.rows] == sorted({*answers, *correct})


@given(pairs)
def test_confusions_equal_those_of_scikit_learn(drawn):
    answers, correct = map(list, zip(*drawn, strict=True))
    (table,) = confusion_table(answers, correct)
    classes = sorted({*answers, *correct})
    # A class more, since scikit-learn warns of a single one.
    expected = metrics.confusion_matrix(correct, answers, labels=[*classes, "none of them"])
    assert [list(row[1:]) for row in table.rows] == expected[:-1, :-1].tolist()


def test_confusions_have_a_column_for_no_answer():
    (table,) = confusion_table(["a", None], ["a", "b"])
    assert table.columns == ("correct", "a", "b", NONE)
    assert table.rows == (("a", 1, 0, 0), ("b", 0, 0, 1))


def test_of_many_classes_the_most_frequent_confusions_are_shown():
    correct = [f"class {n}" for n in range(30)]
    answers = [*correct[:-3], "class 0", "class 0", None]
    (table,) = confusion_table([*answers, "class 0"], [*correct, "class 27"])
    assert table.rows == (
        ("class 27", "class 0", 2),
        ("class 28", "class 0", 1),
        ("class 29", NONE, 1),
    )
    assert confusion_table(correct, correct) == []
