"""The loop over dispatches: when it ends, and what it tells."""

import dataclasses

import jax.numpy as jnp
import pytest

from fsl_jax.adapt import LinearProbe
from fsl_jax.training.fit_loop import fit, is_over


@pytest.fixture(scope="module")
def problem(tiny_problem, trial):
    trials = [trial(LinearProbe(), seed) for seed in (13, 21)]
    return tiny_problem("bert-head", trials, steps=8, evaluate_every=2)


@pytest.fixture(scope="module")
def program(problem):
    return problem.compile()


def ended(state, stopped, diverged):
    runs = dataclasses.replace(state.runs, stopped=jnp.array(stopped), diverged=jnp.array(diverged))
    return dataclasses.replace(state, runs=runs)


def test_it_is_told_of_every_dispatch_and_which_one_is_the_last(problem, program):
    state, inputs = problem.place(program)
    seen = []
    fit(
        program,
        state,
        *inputs,
        problem.fit_config,
        lambda now, last: seen.append((int(now.step), last)),
    )
    assert seen == [(2, False), (4, False), (6, False), (8, True)]


@pytest.mark.parametrize(
    ("stopped", "diverged", "over"),
    [
        ([False, False], [False, False], False),
        ([True, False], [False, False], False),
        ([True, False], [False, True], True),
        ([True, True], [False, False], True),
    ],
)
def test_it_ends_when_all_runs_have(problem, program, stopped, diverged, over):
    state, inputs = problem.place(program)
    state = ended(state, stopped, diverged)
    assert is_over(state, problem.fit_config) == over
    seen = []
    fit(program, state, *inputs, problem.fit_config, lambda now, last: seen.append(last))
    assert bool(seen) == (not over)


def test_what_stops_the_loop_from_outside_gets_through(problem, program):
    state, inputs = problem.place(program)

    def stop(now, last):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(program, state, *inputs, problem.fit_config, stop)
