import pytest

from fsl_jax.incontext.answer_writer import AnswerWriter
from fsl_jax.incontext.asking import make_asker
from fsl_jax.incontext.scoring import QueryScorer


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_model_scores_words_or_writes(tiny_formulations, writers, family):
    words = tiny_formulations[f"{family}-words"]
    assert isinstance(make_asker(words), QueryScorer)
    asker = make_asker(writers[family])
    assert isinstance(asker, AnswerWriter)
    assert asker.formulation is writers[family]
