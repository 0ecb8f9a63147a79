"""The fit program: a step, the best leaves at validation, and runs that end before the others."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fsl_jax.adapt import BitFit, LinearProbe, LoRA
from fsl_jax.training.fit_loop import fit
from fsl_jax.training.optimizer import make_optimizer

SEEDS, RATES, DECAYS = (13, 21, 42, 13), (0.3, 0.1, 0.03, 0.1), (0.0, 0.5, 0.1, 0.0)
STEPS, EVERY = 20, 2
BROKEN = 1
"""The run that the tests break."""


@pytest.fixture(scope="module")
def probes(tiny_problem, trial):
    """Four linear probes: programs that are compiled in no time."""

    def make(**settings):
        runs = zip(SEEDS, RATES, DECAYS, strict=True)
        trials = [trial(LinearProbe(), *run) for run in runs]
        return tiny_problem(
            "bert-head", trials, **{"steps": STEPS, "evaluate_every": EVERY} | settings
        )

    return make


@pytest.fixture(scope="module")
def problem(probes):
    return probes()


@pytest.fixture(scope="module")
def program(problem):
    return problem.compile()


@pytest.fixture(scope="module")
def states(problem, program):
    """The state after each dispatch."""
    return carry_out(problem, program)


def carry_out(problem, program, change=lambda state, runs, pool: (state, runs, pool)):
    """Train; `change` may replace the inputs of the program."""
    state, (runs, shared, pool) = problem.place(program)
    state, runs, pool = change(state, runs, pool)
    seen = [jax.device_get(state)]
    fit(
        program,
        state,
        runs,
        shared,
        pool,
        problem.fit_config,
        lambda now, _: seen.append(jax.device_get(now)),
    )
    return seen


def of_run(tree, number):
    return jax.tree.map(lambda leaf: leaf[number], tree)


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def class_logits(problem, head, rows):
    return problem.pool.by_segment["representation"][rows] @ head["kernel"] + head["bias"][None]


def losses_of(problem, head, rows):
    logits = class_logits(problem, head, rows)
    labels = problem.pool.targets[rows]
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)


@pytest.mark.parametrize("number", range(4))
def test_a_step_is_one_of_its_run_s_batch_rate_and_decay(problem, states, number):
    given = problem.runs
    optimizer = make_optimizer(RATES[number], DECAYS[number], problem.fit_config)
    head = of_run(states[0].runs.trainable, number)["head"]
    moments, expected = optimizer.init(head), []
    gradient_of = jax.jit(
        jax.value_and_grad(lambda head, rows: losses_of(problem, head, rows).mean())
    )
    for step in range(STEPS):
        loss, gradient = gradient_of(head, given.training.examples[number, step])
        expected.append(loss)
        with jax.numpy_dtype_promotion("standard"):
            update, moments = optimizer.update(gradient, moments, head)
        head = jax.tree.map(jnp.add, head, update)
    last = of_run(states[-1].runs, number)
    np.testing.assert_allclose(last.losses, expected, rtol=2e-5)
    jax.tree.map(
        lambda found, own: np.testing.assert_allclose(found, own, atol=2e-5),
        last.trainable["head"],
        head,
    )


@pytest.mark.parametrize("number", range(4))
def test_validation_counts_each_example_once(problem, states, number):
    chunks = problem.runs.validation
    rows = chunks.examples[number][chunks.weight[number] > 0]
    assert len(chunks.examples[number]) > 1
    assert len(set(rows.tolist())) == len(rows) == 6
    last = of_run(states[-1].runs, number)
    for place, state in enumerate(states[1:]):
        head = of_run(state.runs.trainable, number)["head"]
        right = class_logits(problem, head, rows).argmax(1) == problem.pool.targets[rows]
        np.testing.assert_allclose(last.measures[place], right.mean(), rtol=1e-6)
        loss = losses_of(problem, head, rows).mean()
        np.testing.assert_allclose(last.validation_losses[place], loss, rtol=1e-5)


def test_the_best_parameters_are_those_of_the_best_validation(states):
    last = states[-1].runs
    for number in range(4):
        accuracies, losses = last.measures[number], last.validation_losses[number]
        place = min(range(len(losses)), key=lambda at: (-accuracies[at], losses[at], at))
        assert last.best_step[number] == EVERY * (place + 1)
        assert last.best_measure[number] == accuracies[place]
        assert last.best_loss[number] == losses[place]
        assert_same(of_run(last.best, number), of_run(states[place + 1].runs.trainable, number))
    # Losses decided between equal accuracies, and not always for the first or the last one.
    best = last.measures == last.best_measure[:, None]
    first, final = best.argmax(1), best.shape[1] - 1 - best[:, ::-1].argmax(1)
    chosen = last.best_step // EVERY - 1
    assert (chosen != first).any()
    assert (chosen != final).any()


@pytest.mark.parametrize("steps", [7, 3])
def test_the_last_step_is_validated(probes, steps):
    problem = probes(steps=steps, evaluate_every=5)
    last = problem.fit(problem.compile()).runs
    assert last.measures.shape == (4, -(-steps // 5))
    assert np.isfinite(last.measures).all()
    assert np.isfinite(last.losses).all()
    assert (last.best_step > 0).all()


def with_rate(rate):
    def change(state, runs, pool):
        rates = runs.learning_rate.at[BROKEN].set(rate)
        return state, dataclasses.replace(runs, learning_rate=rates), pool

    return change


def with_decay(decay):
    def change(state, runs, pool):
        decays = runs.weight_decay.at[BROKEN].set(decay)
        return state, dataclasses.replace(runs, weight_decay=decays), pool

    return change


def assert_others_are_the_same(found, expected):
    for number in {0, 1, 2, 3} - {BROKEN}:
        assert_same(of_run(found, number), of_run(expected, number))


def with_example(problem, value, step=None):
    """Makes the broken run read an example that no other reads, and gives that a representation.

    It is read in one training step, or in validation where no step is named.
    """
    given = problem.runs
    rows = [
        set(training.ravel().tolist()) | set(validation.ravel().tolist())
        for training, validation in zip(
            given.training.examples, given.validation.examples, strict=True
        )
    ]
    row = min(rows[BROKEN] - set().union(*rows[:BROKEN], *rows[BROKEN + 1 :]))
    other = min(rows[BROKEN] - {row})

    def change(state, runs, pool):
        steps = runs.training.examples
        steps = steps.at[BROKEN].set(jnp.where(steps[BROKEN] == row, other, steps[BROKEN]))
        chunks = runs.validation.examples.at[BROKEN].set(other)
        if step is None:
            chunks = chunks.at[BROKEN, 0, 0].set(row)
        else:
            steps = steps.at[BROKEN, step, 0].set(row)
        cached = {"representation": pool.by_segment["representation"].at[row].set(value)}
        runs = dataclasses.replace(
            runs,
            training=runs.training.replace(examples=steps),
            validation=runs.validation.replace(examples=chunks),
        )
        return state, runs, pool.replace(by_segment=cached)

    return change


@pytest.mark.parametrize(
    "change",
    [with_rate(1e30), with_rate(jnp.inf), with_rate(jnp.nan), with_decay(jnp.inf)],
    ids=["rate 1e30", "rate inf", "rate nan", "decay inf"],
)
def test_a_step_that_is_not_finite_is_not_taken_and_ends_its_run(problem, program, states, change):
    last = carry_out(problem, program, change)[-1].runs
    np.testing.assert_array_equal(last.diverged, np.arange(4) == BROKEN)
    assert not last.stopped.any()
    assert_others_are_the_same(last, states[-1].runs)
    assert_same(of_run(last.trainable, BROKEN), of_run(states[0].runs.trainable, BROKEN))
    assert np.isnan(last.losses[BROKEN, 1:]).all()
    assert np.isnan(last.measures[BROKEN]).all()


def test_a_loss_that_is_not_a_number_ends_its_run_which_keeps_its_best(problem, program, states):
    step = 7
    usual, last = (
        carry_out(problem, program, with_example(problem, value, step)) for value in (1.0, jnp.nan)
    )
    last, before = last[-1].runs, of_run(usual[step // EVERY].runs, BROKEN)
    np.testing.assert_array_equal(last.diverged, np.arange(4) == BROKEN)
    assert_others_are_the_same(last, states[-1].runs)
    found = of_run(last, BROKEN)
    np.testing.assert_array_equal(found.losses[:step], usual[-1].runs.losses[BROKEN, :step])
    assert np.isnan(found.losses[step:]).all()
    assert np.isnan(found.measures[step // EVERY :]).all()
    assert found.best_measure == before.best_measure >= 0
    assert_same(found.best, before.best)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.trainable))


def test_a_validation_loss_that_is_not_a_number_ends_its_run(problem, program, states):
    last = carry_out(problem, program, with_example(problem, jnp.nan))[-1].runs
    np.testing.assert_array_equal(last.diverged, np.arange(4) == BROKEN)
    assert_others_are_the_same(last, states[-1].runs)
    assert last.best_measure[BROKEN] == -np.inf
    assert_same(of_run(last.best, BROKEN), of_run(states[0].runs.trainable, BROKEN))
    assert np.isfinite(last.losses[BROKEN, :EVERY]).all()
    assert np.isnan(last.losses[BROKEN, EVERY:]).all()


PATIENCE = 2


@pytest.fixture(scope="module")
def impatient(probes):
    problem = probes(evaluate_every=1, patience=PATIENCE)
    program = problem.compile()
    return problem, program, carry_out(problem, program)[-1].runs


def test_a_run_ends_after_so_many_validations_without_a_better_one(impatient):
    _, _, last = impatient
    taken = set()
    for number in range(4):
        best, stale, steps = (-1.0, np.inf), 0, 0
        while stale < PATIENCE and steps < STEPS:
            now = last.measures[number, steps], last.validation_losses[number, steps]
            better = (-now[0], now[1]) < (-best[0], best[1])
            best, stale, steps = (now, 0, steps + 1) if better else (best, stale + 1, steps + 1)
        assert last.stopped[number] == (stale == PATIENCE)
        assert last.best_measure[number] == best[0]
        for history in (last.losses, last.measures, last.validation_losses):
            np.testing.assert_array_equal(np.isnan(history[number]), np.arange(STEPS) >= steps)
        taken.add(steps)
    assert len(taken) > 1


def test_a_run_that_ends_early_stays_as_it_is_and_the_others_go_on(impatient):
    problem, program, usual = impatient
    seen = carry_out(problem, program, with_rate(0.0))
    last = seen[-1].runs
    assert_others_are_the_same(last, usual)
    assert last.stopped[BROKEN]
    # The first validation is better than none; then come as many as its patience.
    np.testing.assert_array_equal(np.isfinite(last.losses[BROKEN]), np.arange(STEPS) < 1 + PATIENCE)
    jax.tree.map(
        lambda ended, at_end: np.testing.assert_array_equal(ended[BROKEN], at_end[BROKEN]),
        seen[1 + PATIENCE].runs,
        last,
    )


def test_the_program_ends_when_all_runs_have(impatient):
    problem, program, _ = impatient

    def without_steps(state, runs, pool):
        return state, dataclasses.replace(runs, learning_rate=jnp.zeros(4)), pool

    seen = carry_out(problem, program, without_steps)
    assert int(seen[-1].step) == 1 + PATIENCE
    assert seen[-1].runs.stopped.all()


def test_dropout_differs_by_step_and_run_repeats_by_key_and_leaves_validation_alone(
    tiny_problem, trial
):
    problem = tiny_problem(
        "bert-head", [trial(BitFit(), 13, 0.0)] * 3, steps=4, evaluate_every=2, dropout=0.3
    )

    def one_batch_and_two_keys(state, runs, pool):
        first = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:, :1], leaf.shape), runs.training)
        keys = runs.key.at[2].set(jax.random.key(99))
        return state, dataclasses.replace(runs, training=first, key=keys), pool

    last = carry_out(problem, problem.compile(), one_batch_and_two_keys)[-1].runs
    # All steps have the same batch and learn nothing, so the losses differ by dropout only.
    np.testing.assert_array_equal(last.losses[0], last.losses[1])
    assert len(set(last.losses[[0, 2]].ravel().tolist())) == 8
    assert len(set(last.validation_losses.ravel().tolist())) == 1


def test_rematerialized_layers_train_the_same_in_less_memory(tiny_problem, trial):
    problems = [
        tiny_problem("bert-head", [trial(LoRA(2))] * 4, steps=4, evaluate_every=4, **options)
        for options in ({}, {"rematerialize": True})
    ]
    programs = [problem.compile() for problem in problems]
    plain, again = (
        problem.fit(program).runs for problem, program in zip(problems, programs, strict=True)
    )
    np.testing.assert_allclose(again.losses, plain.losses, rtol=1e-6)
    assert programs[1].memory < programs[0].memory


@dataclasses.dataclass(frozen=True)
class Watching(LoRA):
    """Keeps the norm of the gradients of the last step."""

    def initial_state(self, trainable):
        return jnp.float32(0)

    def after_step(self, trainable, frozen_leaves, gradients, method_state, step, steps):
        return trainable, optax.tree.norm(gradients)


@pytest.mark.parametrize("clip_norm", [1e-3, 1e3])
def test_what_a_method_does_after_a_step_sees_the_gradients_of_the_step(
    tiny_problem, trial, clip_norm
):
    problem = tiny_problem("bert-head", [trial(Watching(2))], steps=2, clip_norm=clip_norm)
    norm = problem.fit(problem.compile()).runs.method_state[0]
    assert (abs(norm - clip_norm) < 1e-8) == (clip_norm == 1e-3)
    assert 0 < norm <= clip_norm * (1 + 1e-6)
