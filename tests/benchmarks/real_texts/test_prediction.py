"""Prediction by this project and by two peers."""

import numpy as np
import pytest

from benchmarks.real_texts.prediction import (
    measure_prediction,
    padded_tokens,
    require_same_answers,
    require_same_predictions,
)
from benchmarks.real_texts.project_prediction import packed_tokens
from benchmarks.real_texts.workload import make_text_workload
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.packing.padding import Padding

LOGITS = np.array([[2.0, 0.0], [0.0, 1.0]])


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers")
def test_all_sides_predict_the_same(tiny, short_texts):
    work = make_text_workload(
        tiny("bert"), short_texts, LoRA(), batch_size=4, steps=3, turn=3, shots=3
    )
    rows = measure_prediction(work, short_texts, repeats=1)
    assert [row.peer for row in rows] == ["pipeline", "sorted by length", "pipeline"]
    assert rows[0].work == "12 test texts of words, tiny"
    assert rows[2].seconds > rows[0].seconds


def test_padding_is_up_to_the_order_of_texts():
    assert padded_tokens([5, 1, 4, 2, 3], batch=2) == Padding(10 + 8 + 3, 15)
    assert padded_tokens([5, 4, 3, 2, 1], batch=2) == Padding(10 + 6 + 1, 15)


def test_packed_texts_are_counted_over_all_windows():
    lengths = np.random.default_rng(0).integers(3, 40, 3000)
    counted = packed_tokens(lengths)
    assert counted.real == lengths.sum()
    assert 0 < counted.share < 0.1


def test_other_predictions_are_refused():
    require_same_predictions(LOGITS, LOGITS + 3)
    for other in (LOGITS * 1.1, LOGITS[::-1]):
        with pytest.raises(ValueError, match="predict differently"):
            require_same_predictions(LOGITS, other)


def test_other_answers_of_a_pipeline_are_refused():
    answers = [{"label": "a", "score": 0.8808}, {"label": "b", "score": 0.7311}]
    require_same_answers(LOGITS, ("a", "b"), answers)
    for change in ({"label": "b"}, {"score": 0.9}):
        with pytest.raises(ValueError, match="predict differently"):
            require_same_answers(LOGITS, ("a", "b"), [answers[0] | change, answers[1]])
