import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from fsl_jax.tasks.metrics.relations import is_no_relation, relation_f1

labels = st.sampled_from(["no_relation", "born in", "works for"])


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=12))
def test_it_equals_that_of_scikit_learn_without_no_relation(drawn):
    answers, correct = map(list, zip(*drawn, strict=True))
    used = sorted({*answers, *correct} - {"no_relation"})
    expected = used and f1_score(correct, answers, labels=used, average="micro", zero_division=0)
    assert relation_f1(answers, correct) == pytest.approx(expected or 0.0)


def test_no_answer_is_no_relation_that_was_found():
    assert relation_f1([None, "born in"], ["born in", "born in"]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("label", "none"), [("Other", True), ("NA", True), ("another", False)])
def test_names_of_no_relation(label, none):
    assert is_no_relation(label) == none
