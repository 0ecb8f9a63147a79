import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from fsl_jax.tasks.metrics.rouge import NAMES, rouge

texts = st.lists(
    st.sampled_from(["The", "cat", "sat", "on", "mats", "U.S.", "x_1", "-"]), max_size=8
).map(" ".join)


@settings(max_examples=50)
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_it_equals_the_library_on_english(answer, references):
    expected = RougeScorer(list(NAMES)).score_multi(references, answer)
    found = rouge([answer], [references])
    assert found == pytest.approx({NAMES[n]: each.fmeasure for n, each in expected.items()})


def test_words_of_other_scripts_count():
    assert rouge(["Москва 東京"], [["москва 東京"]])["rouge_l"] == 1
    assert rouge(["Москва"], [["Киев"]])["rouge_1"] == 0
