"""One request at a time: what scores of packed trees have to agree with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.incontext.requests import Request
from fsl_jax.models.blocks.suffix_tokens import suffix_length, suffix_tokens

BATCH = 64
"""Few tokens at a time, so that requests fill several batches."""


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


def many_requests():
    """Contexts of many lengths, seven that share 18 tokens, and one that any token follows."""
    every = [Request((5, 6), (token,)) for token in range(64)]
    return draw(5, 1, 24) + draw(7, 1, 6, 1, before=tuple(range(30, 48))) + every


def read_alone(pretrained, params, requests, length=32):
    """Read each request in a row of its own, without any tree.

    Args:
      pretrained: the model.
      params: its parameters.
      requests: requests of token ids.
      length: the length of the rows.

    Returns:
      For each request, the log-probabilities of its continuation's tokens, and whether each is the
      most probable token.
    """
    pairs = [(each.context, each.continuation) for each in requests]
    after = []
    if suffix_length(params):
        ids, is_real = (np.asarray(each[0]) for each in suffix_tokens(params, 1))
        after = ids[is_real].tolist()
    if pretrained.config.is_encoder_decoder:
        read = _rows([context for context, _ in pairs], length)
        start = pretrained.config.decoder_start_token
        inputs, _ = _rows([[start, *each[:-1]] for _, each in pairs], length)
        options, firsts = {"decoder_input_ids": inputs}, [0] * len(pairs)
    else:
        read = _rows([[*context, *after, *each[:-1]] for context, each in pairs], length)
        options, firsts = {}, [len(context) + len(after) - 1 for context, _ in pairs]

    @jax.jit
    def logits(params, ids, mask):
        return jax.nn.log_softmax(pretrained.apply(params, ids, mask, **options).logits)

    found = np.asarray(logits(jax.tree.map(jnp.asarray, params), *read))
    results = []
    for row, first, (_, each) in zip(found, firsts, pairs, strict=True):
        of_tokens = row[first : first + len(each)]
        chosen = of_tokens[np.arange(len(each)), list(each)]
        results.append((chosen, of_tokens.argmax(axis=1) == np.array(each)))
    return results


def _rows(sequences, length):
    ids = np.zeros((len(sequences), length), np.int32)
    for row, sequence in zip(ids, sequences, strict=True):
        row[: len(sequence)] = sequence
    lengths = np.array([len(sequence) for sequence in sequences])
    return ids, np.arange(length)[None] < lengths[:, None]


def assert_same(scores, expected, atol=2e-5):
    """Check scores against the results of `read_alone`."""
    for found, (log_probabilities, greedy) in zip(scores, expected, strict=True):
        np.testing.assert_allclose(found.log_probabilities, log_probabilities, atol=atol)
        assert found.total == pytest.approx(float(log_probabilities.sum()), abs=atol * 4)
        assert found.is_greedy == bool(greedy.all())
        assert found.left_out == 0
