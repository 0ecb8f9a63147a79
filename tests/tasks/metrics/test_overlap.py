import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from fsl_jax.tasks.metrics.overlap import bleu, chrf

words = st.sampled_from(["the", "cat", "sat", "on", "mats", "Katze", ".", "é"])
texts = st.lists(words, max_size=8).map(" ".join)
rows = st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5)


@settings(max_examples=50)
@given(rows)
def test_they_equal_those_of_sacrebleu(drawn):
    answers, first, second = map(list, zip(*drawn, strict=True))
    references = list(zip(first, second, strict=True))
    expected = sacrebleu.corpus_chrf(answers, [first, second]).score / 100
    assert chrf(answers, references) == pytest.approx(expected)
    expected = sacrebleu.corpus_bleu(answers, [first, second], force=True).score / 100
    assert bleu(answers, references) == pytest.approx(expected)


def test_texts_may_have_different_numbers_of_references():
    answers = ["the cat sat on the mat", "a dog"]
    references = [("no", "the cat sat on the mat"), ("a dog",)]
    assert chrf(answers, references) == pytest.approx(1.0)
    assert bleu(answers[:1], references[:1]) == pytest.approx(1.0)


def test_no_words_are_nothing():
    assert chrf([""], [("words",)]) == 0
    assert bleu([""], [("words",)]) == 0
