import numpy as np
from tiny_heads import EXAMPLES

from fsl_jax.formulations.tokenized import Tokenized

EXAMPLES = EXAMPLES["multicolumn_head"]
NONE = Tokenized([], 0)


def test_targets_are_counted_in_each_column(tiny_head):
    head = tiny_head("multicolumn_head", "bert")
    assert head.columns == (("east", "north", "west"), ("far", "very"))
    assert head.targets(EXAMPLES, NONE).tolist() == [[0, 0], [2, 0], [0, 1], [1, 0]]
    assert head.outputs_size == 5
    assert head.initial_words == ("east", "north", "west", "far", "very")


def test_a_label_in_two_columns_is_one_word_and_two_classes(tiny_head):
    head = tiny_head("multicolumn_head", "bert", labels=("a=east", "a=far", "b=far", "b=very"))
    assert head.initial_words == ("east", "far", "very")
    assert head.outputs_size == 4


def test_an_answer_has_the_most_probable_label_of_each_column(tiny_head):
    head = tiny_head("multicolumn_head", "bert")
    outputs = np.float32([[0, 1, 2, 9, 8], [5, 4, 3, -2, -1]])
    assert head.decode(outputs, EXAMPLES[:2], NONE) == [("west", "far"), ("east", "very")]
