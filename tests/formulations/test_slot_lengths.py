"""The tokens of examples in slots."""

import numpy as np

from fsl_jax.data.examples import text_example
from fsl_jax.formulations.encoding import encode
from fsl_jax.formulations.slot_lengths import slot_lengths
from fsl_jax.formulations.writing.answer_states import ANSWER
from fsl_jax.formulations.writing.answer_tokens import NO_TOKEN
from fsl_jax.packing.pool import make_pool

EXAMPLES = [text_example("w1 w2 w3", "far east"), text_example("w4", "very very far north")]
"""Answers of 3 and 5 tokens, with the one that ends each."""


def test_an_answer_takes_its_own_tokens_of_a_slot(writers):
    for family, expected in {"t5": [3, 5], "llama": [0, 0]}.items():
        writer = writers[family]
        params = writer.pretrained.params
        pool = encode(writer, EXAMPLES, params).pool
        lengths = slot_lengths(writer, params, pool)
        assert lengths.dtype == np.int32
        np.testing.assert_array_equal(lengths, expected)


def test_missing_segments_have_no_answer(writers):
    writer = writers["t5"]
    answers = np.full((2, writer.max_answer), NO_TOKEN, np.int32)
    answers[1, :3] = 5
    pool = make_pool([[], [5, 6]], features={ANSWER: answers})
    lengths = slot_lengths(writer, writer.pretrained.params, pool)
    np.testing.assert_array_equal(lengths, [0, 3])


def test_label_words_fill_all_slots_but_those_of_missing_segments(tiny_formulations):
    asked = tiny_formulations["t5-words"]
    params = asked.pretrained.params
    lengths = slot_lengths(asked, params, make_pool([[5, 6], [], [7]]))
    width = asked.slot_width(params)
    assert width > 0
    np.testing.assert_array_equal(lengths, [width, 0, width])
