import numpy as np
import pytest
from tiny_heads import EXAMPLES

from fsl_jax.data.examples import Example
from fsl_jax.formulations.heads.choice_head import ChoiceHead
from fsl_jax.formulations.objectives.choices import ChoiceScores

EXAMPLES = EXAMPLES["choice_head"]
QUESTION = {"question": "w3 w4", "choice 1": "w5", "choice 2": "w6 w7"}
ASKED = [Example(QUESTION, 0), Example({"context": "w1 w2"} | QUESTION, 1)]


def shown(head, examples):
    tokenized = head.tokenize(examples)
    return [head.pretrained.tokenizer.decode(ids) for ids in tokenized.tokens], tokenized


def test_each_choice_is_a_pair_with_its_question(tiny_bases, pair_tokenizer):
    head = ChoiceHead(pair_tokenizer(tiny_bases["bert"]))
    segments, tokenized = shown(head, ASKED)
    assert segments[:2] == ["w3 w4 . w5 .", "w3 w4 . w6 w7 ."]
    assert segments[2:] == ["w1 w2 . w3 w4 w5 .", "w1 w2 . w3 w4 w6 w7 ."]
    assert tokenized.counts.tolist() == [2, 2]
    assert head.targets(ASKED, tokenized).tolist() == [0, 1]


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_what_cannot_be_a_pair_is_read_on_lines(tiny_bases, family):
    segments, _ = shown(ChoiceHead(tiny_bases[family]), ASKED)
    assert segments == ["w3 w4 w5", "w3 w4 w6 w7", "w1 w2 w3 w4 w5", "w1 w2 w3 w4 w6 w7"]


def test_the_beginning_of_long_questions_and_then_of_choices_is_cut(tiny_bases, pair_tokenizer):
    head = ChoiceHead(pair_tokenizer(tiny_bases["bert"]), max_length=5)
    segments, tokenized = shown(head, [*ASKED, Example({"question": "w1", "choice 1": "w2"}, 0)])
    assert segments[:2] == ["w3 w4 . w5 .", "w4 . w6 w7 ."]
    assert segments[2:] == [". w3 w4 w5 .", ". w4 w6 w7 .", "w1 . w2 ."]
    assert tokenized.truncated == 2


def test_the_answer_is_the_choice_with_the_highest_score_of_its_question(tiny_head):
    head = tiny_head("choice_head", "bert")
    tokenized = head.tokenize(EXAMPLES)
    scores = np.float32([-5, -4, 1, 2, 3, 9, 8, 7, 6, 6.5]).reshape(-1, 1)
    outputs = ChoiceScores(scores, np.ones_like(scores, bool))
    assert head.decode(outputs, EXAMPLES, tokenized) == [1, 2, 0, 0]
