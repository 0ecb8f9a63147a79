import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from fsl_jax.tasks.metrics.label_sets import label_counts, label_scores

LABELS = ("a", "b", "c")
sets = st.lists(st.sampled_from(LABELS), unique=True).map(tuple)


@given(st.lists(st.tuples(sets, sets), min_size=1, max_size=12))
def test_they_equal_those_of_scikit_learn(drawn):
    answers, correct = map(list, zip(*drawn, strict=True))
    used = [label for label in LABELS if any(label in each for each in (*answers, *correct))]
    given_, held = (
        np.array([[label in each for label in LABELS] for each in side], int)
        for side in (answers, correct)
    )
    scores = label_scores(answers, correct)
    assert scores["subset_accuracy"] == pytest.approx(np.mean((given_ == held).all(axis=1)))
    if used:
        for name in ("micro", "macro"):
            expected = metrics.f1_score(
                held, given_, labels=list(map(LABELS.index, used)), average=name, zero_division=0
            )
            assert scores[f"{name}_f1"] == pytest.approx(expected)


def test_no_answer_is_not_the_answer_without_labels():
    assert label_scores([None, ()], [(), ()])["subset_accuracy"] == 0.5
    assert label_counts([None, ("a",)], [("b",), ("a",)]) == {"a": (1, 1, 1), "b": (0, 0, 1)}
