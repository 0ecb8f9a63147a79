"""The program that scores trees: with added leaves, and with many edges."""

import numpy as np
import pytest
from single_requests import BATCH, assert_same, many_requests, read_alone

from fsl_jax.incontext.requests import Request
from fsl_jax.incontext.scorer import Scorer, score


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("llama", "lora(rank=2)+prompt_tuning(length=3)"),
        ("llama", "prompt_tuning(length=3,position='suffix')"),
        ("gemma2", "prefix_tuning(length=3)"),
        ("t5", "prompt_tuning(length=3)"),
    ],
)
def test_adapters_and_soft_prompts_are_read(tiny_bases, adapted, family, method):
    base = tiny_bases[family]
    params = adapted(base, method)
    some = many_requests()[:72:5]
    scores = score(base, some, params=params, batch_tokens=BATCH)
    assert_same(scores, read_alone(base, params, some, length=29))
    plain = score(base, some, batch_tokens=BATCH)
    differences = [a.total - b.total for a, b in zip(scores, plain, strict=True)]
    assert np.abs(differences).max() > 0.1


def test_logits_are_computed_for_many_places_in_chunks(tiny_bases):
    """There are 112 places, and 64 in a chunk."""
    base = tiny_bases["gpt2"]
    labels = [Request((7,), (number, other)) for number in range(20) for other in range(15)]
    labels += [Request((8,), (number, 3, 4, 5)) for number in range(30)]
    scores = score(base, labels, batch_tokens=256)
    assert_same(scores, read_alone(base, base.params, labels))


def test_greedy_is_what_is_greedy_at_every_token(tiny_bases):
    scorer = Scorer(tiny_bases["gpt2"], batch_tokens=BATCH)
    scores = scorer([Request((5, 6), (token,)) for token in range(64)])
    ranked = np.argsort([-found.total for found in scores]).tolist()
    after = [
        scorer([Request((5, 6), (first, token)) for token in range(64)]) for first in ranked[:2]
    ]
    assert [sum(found.is_greedy for found in each) for each in after] == [1, 0]
