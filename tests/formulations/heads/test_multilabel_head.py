import numpy as np
from tiny_heads import EXAMPLES

from fsl_jax.formulations.tokenized import Tokenized

EXAMPLES = EXAMPLES["multilabel_head"]
NONE = Tokenized([], 0)


def test_targets_say_which_labels_a_text_has(tiny_head):
    head = tiny_head("multilabel_head", "bert", labels=("north", "west", "east"))
    targets = head.targets(EXAMPLES, NONE)
    assert targets.dtype == np.float32
    assert targets.tolist() == [[0, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 0]]
    assert head.initial_words == ("north", "west", "east")


def test_answers_are_the_labels_with_a_logit_above_zero_sorted(tiny_head):
    head = tiny_head("multilabel_head", "bert", labels=("north", "west", "east"))
    outputs = np.float32([[-1, -2, 3], [0.1, -1, 5], [-1, 0, -1]])
    assert head.decode(outputs, EXAMPLES[:3], NONE) == [("east",), ("east", "north"), ()]
