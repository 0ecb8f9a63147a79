"""Scores of packed trees are those of one request at a time, here and in transformers."""

import dataclasses

import jax
import numpy as np
import pytest
import transformers
from single_requests import BATCH, assert_same, draw, many_requests, read_alone

from fsl_jax.errors import InputError
from fsl_jax.incontext.requests import Request
from fsl_jax.incontext.scorer import Scorer, score
from fsl_jax.models import export
from fsl_jax.sharding import make_mesh

FAMILIES = ("gpt2", "gemma2", "t5")


def by_transformers(directory, requests):
    """Score one request at a time by PyTorch."""
    import torch

    config = transformers.AutoConfig.from_pretrained(directory)
    kinds = (transformers.AutoModelForCausalLM, transformers.AutoModelForSeq2SeqLM)
    kind = kinds[config.is_encoder_decoder]
    model = kind.from_pretrained(directory, attn_implementation="eager").eval()
    found = []
    for request in requests:
        ids, labels = torch.tensor([request.context]), torch.tensor([request.continuation])
        with torch.no_grad():
            if config.is_encoder_decoder:
                logits = model(input_ids=ids, labels=labels).logits[0]
            else:
                whole = torch.cat([ids, labels[:, :-1]], dim=1)
                logits = model(whole).logits[0, len(request.context) - 1 :]
        each = torch.log_softmax(logits, dim=-1)
        chosen = each.gather(1, labels.T)[:, 0]
        found.append((chosen.numpy(), (each.argmax(dim=1) == labels[0]).numpy()))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_one_request_at_a_time(tiny_bases, tmp_path, family):
    base, requests = tiny_bases[family], many_requests()
    scores = score(base, requests, batch_tokens=BATCH)
    expected = read_alone(base, base.params, requests)
    assert_same(scores, expected)
    assert sum(found.is_greedy for found in scores[-64:]) == 1
    assert sum(np.exp(found.total) for found in scores[-64:]) == pytest.approx(1, abs=1e-4)
    export(base, tmp_path / "model")
    some = slice(None, None, 5)
    assert_same(scores[some], by_transformers(tmp_path / "model", requests[some]), 1e-4)


def test_another_data_set_compiles_nothing(build_tiny, tiny_bases, tiny_tokenizer, compilations):
    """Other contexts, labels and orders are other inputs of the same programs."""
    base = build_tiny(dataclasses.replace(tiny_bases["gpt2"].config, num_layers=1), tiny_tokenizer)
    scorer = Scorer(base, batch_tokens=BATCH)
    shown = tuple(range(30, 48))
    first = draw(8, 1, 9, 0, shown) + draw(6, 10, 24, 1)
    with compilations() as compiled:
        scorer(first)
    assert sorted(set(compiled)) == ["jit(read_prefix)", "jit(score_trees)"]
    assert len(compiled) <= 4
    other = [
        dataclasses.replace(each, continuation=each.continuation[::-1])
        for each in draw(9, 1, 9, 2, shown[::-1]) + draw(11, 6, 22, 3)
    ]
    with compilations() as compiled:
        scorer(other)
        score(base, first, batch_tokens=BATCH)
    assert compiled == []


def test_a_shared_beginning_is_read_once(tiny_bases, monkeypatch):
    scorer = Scorer(tiny_bases["gpt2"], batch_tokens=BATCH)
    read = []
    monkeypatch.setattr(
        scorer._prefixes,
        "_read",
        lambda ids, mask, inner=scorer._prefixes._read: read.append(ids) or inner(ids, mask),
    )
    shown = tuple(range(30, 48))
    first = scorer(draw(8, 1, 6, 0, shown))
    assert len(read) == 1
    # Queries that happen to begin alike, and a single one, need no other prefix.
    scorer(draw(8, 1, 6, 1, (*shown, 5, 6)))
    again = scorer(draw(1, 1, 6, 0, shown))
    assert len(read) == 1
    for found, expected in zip(again, first, strict=False):
        np.testing.assert_allclose(found.log_probabilities, expected.log_probabilities, atol=2e-5)
    scorer(draw(8, 1, 6, 1, shown[::-1]))
    assert len(read) == 2


def test_equal_requests_are_scored_once_and_progress_is_told(tiny_bases):
    scorer, done, requests = Scorer(tiny_bases["gpt2"], batch_tokens=BATCH), [], many_requests()
    scores = scorer([*requests, *requests[::-1]], done.append)
    assert scores == [*scores[: len(requests)], *scores[: len(requests)][::-1]]
    assert done == sorted(set(done))
    assert len(done) > 2
    assert done[-1] == len({each.context for each in requests}) == 13


def test_texts_are_scored_too(tiny_bases):
    base = tiny_bases["gpt2"]
    texts = [Request("w1 w2 ", "w3 w4"), Request("w1 w2", " w3")]
    tokens = [Request((11, 12), (13, 14)), Request((11, 12), (13,))]
    assert score(base, iter(texts)) == score(base, tokens)
    assert score(base, []) == []


def test_a_context_with_very_many_continuations_has_several_trees(tiny_bases):
    """So many that one tree would need a row that is far too long."""
    base, done = tiny_bases["gpt2"], []
    requests = [Request((5, 6), (first, 7, 8, last)) for first in range(2, 62) for last in (3, 4)]
    found = Scorer(base, batch_tokens=BATCH)(requests, done.append)
    assert done[-1] == 3
    assert_same(found, read_alone(base, base.params, requests))


def test_what_does_not_fit_is_left_out_and_said(tiny_bases):
    base = tiny_bases["gpt2"]
    long = tuple(np.random.default_rng(0).integers(2, 64, 60).tolist())
    (found,) = score(base, [Request(long, (5, 6))])
    (expected,) = score(base, [Request(long[-31:], (5, 6))])
    assert found == dataclasses.replace(expected, left_out=29)
    (shorter,) = score(base, [Request(long, (5, 6))], max_length=8)
    assert shorter.left_out == 53


def test_rows_are_spread_over_a_mesh(tiny_bases):
    mesh = make_mesh(runs=2, batch=2, model=1, devices=jax.devices()[:4])
    base, requests = tiny_bases["gpt2"], many_requests()
    expected = score(base, requests, batch_tokens=BATCH)
    found = score(base, requests, batch_tokens=BATCH, mesh=mesh)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, atol=2e-5)


def test_an_encoder_is_refused(tiny_bases):
    with pytest.raises(InputError, match="tiny-bert has no language model's logits"):
        Scorer(tiny_bases["bert"])


def test_no_room_at_all_is_refused(tiny_bases):
    with pytest.raises(InputError, match="max_length is 0; give a number of tokens from 1 on"):
        Scorer(tiny_bases["gpt2"], max_length=0)


def test_all_faulty_requests_are_named(tiny_bases):
    faulty = [Request("w1", ""), Request((5,), (6,)), Request((5,), (64,)), Request("", "w1")]
    with pytest.raises(InputError, match="tiny-gpt2 cannot score these requests") as caught:
        score(tiny_bases["gpt2"], faulty)
    assert [problem.split(",")[0] for problem in caught.value.problems] == [
        "request 0",
        "request 2",
        "request 3",
    ]
