"""Candidates of a step, and which of them are kept as finished."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.generation.beam_candidates import (
    length_divisor,
    merge_finished,
    propose_candidates,
    take_per_prompt,
)
from fsl_jax.models.generation.beams import LOWEST, BeamOptions, BeamState, FinishedBeams
from fsl_jax.models.generation.decode_loop import DecodeBatch
from fsl_jax.models.generation.sampling import Sampling

BEAMS, CAPACITY = 2, 4
OPTIONS = BeamOptions(Sampling(), length_penalty=jnp.float32(2.0), limit=jnp.int32(CAPACITY))


@pytest.fixture
def state():
    """One prompt, whose two beams have one token each, and one finished beam."""
    tokens = jnp.zeros((1, BEAMS, CAPACITY), jnp.int32).at[0, :, 0].set(jnp.array([5, 6]))
    finished = FinishedBeams(
        tokens=tokens,
        scores=jnp.array([[-3.0, LOWEST]]),
        lengths=jnp.array([[1, 0]]),
        stopped=jnp.array([[True, False]]),
        filled=jnp.array([[True, False]]),
    )
    return BeamState(
        cache=None,
        encoded=None,
        positions=jnp.zeros(BEAMS, jnp.int32),
        seen=None,
        tokens=tokens,
        scores=jnp.array([[-1.0, -2.0]]),
        finished=finished,
        improvable=jnp.array([True]),
        step=jnp.int32(1),
    )


@pytest.fixture
def candidates(state):
    """The candidates of a batch in which token 1 ends a beam."""
    batch = DecodeBatch(
        input_ids=jnp.zeros((1, 1), jnp.int32),
        mask=jnp.ones((1, 1), bool),
        keys=jax.random.split(jax.random.key(0), BEAMS),
        idle=jnp.zeros(1, bool),
        end_tokens=jnp.array([1], jnp.int32),
    )
    logits = jnp.log(jnp.array([[0.1, 0.6, 0.3], [0.2, 0.1, 0.7]]))
    return propose_candidates(state, logits, batch, OPTIONS)


def test_candidates_are_the_best_continuations_of_all_beams(candidates):
    log_probs = np.log([[0.1, 0.6, 0.3], [0.2, 0.1, 0.7]]) + [[-1.0], [-2.0]]
    order = np.argsort(-log_probs.reshape(-1))[:4]
    assert candidates.parents.tolist() == [(order // 3).tolist()]
    assert candidates.chosen.tolist() == [(order % 3).tolist()]
    np.testing.assert_allclose(candidates.scores[0], np.sort(log_probs.reshape(-1))[::-1][:4], 1e-5)
    assert candidates.stopped.tolist() == [[token == 1 for token in order % 3]]
    expected = [
        [5 + parent, token, 0, 0] for parent, token in zip(order // 3, order % 3, strict=True)
    ]
    assert candidates.tokens[0].tolist() == expected


def test_ended_candidates_take_slots_by_their_score_over_the_length(state, candidates):
    finished = merge_finished(state, candidates, candidates.stopped, OPTIONS)
    assert finished.filled.tolist() == [[True, True]]
    assert finished.tokens[0, 0].tolist() == [5, 1, 0, 0]
    np.testing.assert_allclose(finished.scores, [[(np.log(0.6) - 1) / 2**2, -3.0]], rtol=1e-5)
    assert finished.lengths.tolist() == [[2, 1]]


def test_only_the_best_k_candidates_can_be_returned(state, candidates):
    ended = jnp.array([[False, False, True, True]])
    finished = merge_finished(state, candidates, ended, OPTIONS)
    np.testing.assert_array_equal(finished.tokens[0, 0], state.finished.tokens[0, 0])
    assert finished.filled.tolist() == [[True, False]]


def test_lengths_count_to_the_power_of_the_penalty():
    assert float(length_divisor(jnp.int32(3), OPTIONS)) == 9


def test_each_prompt_is_selected_from_by_its_own_indices():
    x = jnp.arange(12).reshape(2, 3, 2)
    taken = take_per_prompt(x, jnp.array([[2, 0], [1, 1]]))
    assert taken.tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]
