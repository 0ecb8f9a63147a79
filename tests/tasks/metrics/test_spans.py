"""Expected numbers were worked out by hand from the rules of SQuAD's evaluation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.tasks.metrics.spans import exact_match, plain_words, word_f1

texts = st.text(alphabet="ab .,'", max_size=12) | st.sampled_from(["the", "a cat", "An apple!"])


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        ("The Normans", ["normans"], 1, 1),
        ("in the 10th century", ["10th century"], 0, 0.8),
        ("Paris, France", ["Paris", "paris france."], 1, 1),
        ("a b b", ["b b b"], 0, 0.8),
        ("", [], 1, 1),
        ("Paris", [], 0, 0),
        ("", ["Paris"], 0, 0),
        ("the", ["the"], 1, 1),
        ("theatre", ["atre"], 0, 0),
        ("", ["the", "Paris"], 0, 0),
        ("don't", ["dont"], 1, 1),
    ],
)
def test_known_answers(answer, references, exact, f1):
    assert exact_match(answer, references) == exact
    assert word_f1(answer, references) == pytest.approx(f1)


@given(texts, st.lists(texts, max_size=3))
def test_exact_is_the_best_f1_and_the_order_of_references_is_nothing(answer, references):
    f1, exact = word_f1(answer, references), exact_match(answer, references)
    assert 0 <= exact <= f1 <= 1
    assert (f1, exact) == (word_f1(answer, references[::-1]), exact_match(answer, references[::-1]))
    assert exact_match(answer, [*references, answer]) >= exact


@given(texts, texts)
def test_f1_is_the_same_both_ways(one, other):
    if plain_words(one) and plain_words(other):
        assert word_f1(one, [other]) == pytest.approx(word_f1(other, [one]))
