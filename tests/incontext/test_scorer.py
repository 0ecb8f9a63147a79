"""Scores of packed trees are those of one request at a time, here and in transformers."""

import dataclasses

import jax
import numpy as np
import pytest
import transformers

from fsl_jax.errors import InputError
from fsl_jax.incontext.requests import Request
from fsl_jax.incontext.scorer import Scorer, score
from fsl_jax.models import export
from fsl_jax.sharding import make_mesh

FAMILIES = ("gpt2", "gemma2", "t5")
BATCH = 64
"""Few tokens at a time, so that the requests below fill several batches."""


def draw(count, low, high, seed=0, before=()):
    """Contexts, each with continuations that share beginnings and some that do not."""
    random = np.random.default_rng(seed)

    def ids(length):
        return tuple(random.integers(2, 64, length).tolist())

    requests = []
    for _ in range(count):
        context, begun = (*before, *ids(random.integers(low, high))), ids(2)
        ends = [begun[:1], begun, (*begun, 9), (*begun, 8, 7), ids(1), ids(3)]
        requests += [Request(context, end) for end in ends]
    return requests


@pytest.fixture(scope="module")
def requests():
    """Contexts of many lengths, seven that share 18 tokens, and one that any token follows."""
    every = [Request((5, 6), (token,)) for token in range(64)]
    return draw(5, 1, 24) + draw(7, 1, 6, 1, before=tuple(range(30, 48))) + every


def pairs(requests):
    return [(each.context, each.continuation) for each in requests]


def assert_same(scores, expected, atol=2e-5):
    for found, (log_probabilities, greedy) in zip(scores, expected, strict=True):
        np.testing.assert_allclose(found.log_probabilities, log_probabilities, atol=atol)
        assert found.total == pytest.approx(float(log_probabilities.sum()), abs=atol * 4)
        assert found.is_greedy == bool(greedy.all())
        assert found.left_out == 0


def by_transformers(directory, requests):
    """Score one request at a time by PyTorch."""
    import torch

    config = transformers.AutoConfig.from_pretrained(directory)
    kinds = (transformers.AutoModelForCausalLM, transformers.AutoModelForSeq2SeqLM)
    kind = kinds[config.is_encoder_decoder]
    model = kind.from_pretrained(directory, attn_implementation="eager").eval()
    found = []
    for context, continuation in pairs(requests):
        ids, labels = torch.tensor([context]), torch.tensor([continuation])
        with torch.no_grad():
            if config.is_encoder_decoder:
                logits = model(input_ids=ids, labels=labels).logits[0]
            else:
                whole = torch.cat([ids, labels[:, :-1]], dim=1)
                logits = model(whole).logits[0, len(context) - 1 :]
        each = torch.log_softmax(logits, dim=-1)
        chosen = each.gather(1, labels.T)[:, 0]
        found.append((chosen.numpy(), (each.argmax(dim=1) == labels[0]).numpy()))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_one_request_at_a_time(
    tiny_bases, requests, read_alone, tmp_path, family
):
    base = tiny_bases[family]
    scores = score(base, requests, batch_tokens=BATCH)
    expected = read_alone(base, base.params, pairs(requests))
    assert_same(scores, expected)
    assert sum(found.is_greedy for found in scores[-64:]) == 1
    assert sum(np.exp(found.total) for found in scores[-64:]) == pytest.approx(1, abs=1e-4)
    export(base, tmp_path / "model")
    some = slice(None, None, 5)
    assert_same(scores[some], by_transformers(tmp_path / "model", requests[some]), 1e-4)


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("llama", "lora(rank=2)+prompt_tuning(length=3)"),
        ("llama", "prompt_tuning(length=3,position='suffix')"),
        ("gemma2", "prefix_tuning(length=3)"),
        ("t5", "prompt_tuning(length=3)"),
    ],
)
def test_adapters_and_soft_prompts_are_read(
    tiny_bases, requests, read_alone, adapted, family, method
):
    base = tiny_bases[family]
    params = adapted(base, method)
    some = requests[:72:5]
    scores = score(base, some, params=params, batch_tokens=BATCH)
    assert_same(scores, read_alone(base, params, pairs(some), length=29))
    plain = score(base, some, batch_tokens=BATCH)
    differences = [a.total - b.total for a, b in zip(scores, plain, strict=True)]
    assert np.abs(differences).max() > 0.1


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


def test_equal_requests_are_scored_once_and_progress_is_told(tiny_bases, requests):
    scorer, done = Scorer(tiny_bases["gpt2"], batch_tokens=BATCH), []
    scores = scorer([*requests, *requests[::-1]], done.append)
    assert scores == [*scores[: len(requests)], *scores[: len(requests)][::-1]]
    assert done == sorted(set(done))
    assert len(done) > 2
    assert done[-1] == len({each.context for each in requests}) == 13


def test_texts_are_scored_too(tiny_bases):
    base = tiny_bases["gpt2"]
    texts = [Request("w1 w2 ", "w3 w4"), Request("w1 w2", " w3")]
    tokens = [Request((11, 12), (13, 14)), Request((11, 12), (13,))]
    assert score(base, texts) == score(base, tokens)
    assert score(base, []) == []


def test_what_does_not_fit_is_left_out_and_said(tiny_bases):
    base = tiny_bases["gpt2"]
    long = tuple(np.random.default_rng(0).integers(2, 64, 60).tolist())
    (found,) = score(base, [Request(long, (5, 6))])
    (expected,) = score(base, [Request(long[-31:], (5, 6))])
    assert found == dataclasses.replace(expected, left_out=29)
    (shorter,) = score(base, [Request(long, (5, 6))], max_length=8)
    assert shorter.left_out == 53


def test_logits_are_computed_for_many_places_in_chunks(tiny_bases, read_alone):
    """More places than one chunk has, and more edges than places."""
    base = tiny_bases["gpt2"]
    labels = [Request((7,), (number, other)) for number in range(20) for other in range(15)]
    labels += [Request((8,), (number, 3, 4, 5)) for number in range(30)]
    scores = score(base, labels, batch_tokens=256)
    assert_same(scores, read_alone(base, base.params, pairs(labels)))


def test_greedy_is_what_is_greedy_at_every_token(tiny_bases):
    scorer = Scorer(tiny_bases["gpt2"], batch_tokens=BATCH)
    scores = scorer([Request((5, 6), (token,)) for token in range(64)])
    ranked = np.argsort([-found.total for found in scores]).tolist()
    after = [
        scorer([Request((5, 6), (first, token)) for token in range(64)]) for first in ranked[:2]
    ]
    assert [sum(found.is_greedy for found in each) for each in after] == [1, 0]


def test_rows_are_spread_over_a_mesh(tiny_bases, requests):
    mesh = make_mesh(runs=2, batch=2, model=1, devices=jax.devices()[:4])
    base = tiny_bases["gpt2"]
    expected = score(base, requests, batch_tokens=BATCH)
    found = score(base, requests, batch_tokens=BATCH, mesh=mesh)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, atol=2e-5)


def test_an_encoder_is_refused(tiny_bases):
    with pytest.raises(InputError, match="tiny-bert has no language model's logits"):
        Scorer(tiny_bases["bert"])


def test_all_faulty_requests_are_named(tiny_bases):
    faulty = [Request("w1", ""), Request((5,), (6,)), Request((5,), (64,)), Request("", "w1")]
    with pytest.raises(InputError, match="tiny-gpt2 cannot score these requests") as caught:
        score(tiny_bases["gpt2"], faulty)
    assert [problem.split(",")[0] for problem in caught.value.problems] == [
        "request 0",
        "request 2",
        "request 3",
    ]
