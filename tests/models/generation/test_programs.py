"""Compiled functions with fixed first arguments."""

import jax.numpy as jnp

from fsl_jax.models.generation.programs import program


def scaled(factor, shift, x):
    return factor * x + shift


def test_the_first_arguments_are_fixed_and_equal_ones_give_the_same_program():
    first = program(scaled, 3, 1)
    assert program(scaled, 3, 1) is first
    assert program(scaled, 2, 1) is not first
    assert float(first(jnp.float32(2))) == 7


def test_a_donated_state_is_given_up():
    def step(state, by):
        return state + by

    state = jnp.zeros(4)
    result = program(step, donated=0)(state, jnp.ones(4))
    assert result.tolist() == [1, 1, 1, 1]
    assert state.is_deleted()
    kept = jnp.ones(4)
    program(step)(kept, kept)
    assert not kept.is_deleted()
