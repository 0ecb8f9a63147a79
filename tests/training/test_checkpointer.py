"""State is saved when it is time, and restored to the same bits."""

import time

import jax
import numpy as np
import pytest
from etils import epath

from fsl_jax.adapt import LinearProbe
from fsl_jax.errors import InputError
from fsl_jax.sharding import make_mesh
from fsl_jax.training import checkpointer, checkpoints
from fsl_jax.training.checkpointer import Checkpointer
from fsl_jax.training.fit_loop import fit


@pytest.fixture(scope="module")
def problem(tiny_problem, trial):
    trials = [trial(LinearProbe(), seed) for seed in (13, 21)]
    return tiny_problem("bert-head", trials, steps=8, evaluate_every=2)


@pytest.fixture(scope="module")
def program(problem):
    return problem.compile()


@pytest.fixture
def directory(tmp_path):
    return epath.Path(tmp_path)


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("dispatches", [1, 3])
def test_stopped_anywhere_it_goes_on_to_the_same_bits(problem, program, directory, dispatches):
    state, inputs = problem.place(program)
    for _ in range(dispatches):
        state = program.advance(state, *inputs)
        Checkpointer(directory, 1e9).save(state, force=True)
    restored = Checkpointer(directory, 1e9).restore(problem.place(program)[0])
    assert int(restored.step) == 2 * dispatches
    last = fit(program, restored, *inputs, problem.fit_config, lambda *_: None)
    assert_same(jax.device_get(last), problem.fit(program))


def test_a_state_is_restored_to_the_layout_of_a_mesh(problem, program, directory):
    program = problem.compile(mesh=make_mesh(runs=2))
    state, inputs = problem.place(program)
    state = program.advance(state, *inputs)
    Checkpointer(directory, 1e9).save(state, force=True)
    fresh, _ = problem.place(program)
    restored = Checkpointer(directory, 1e9).restore(fresh)
    assert jax.tree.leaves(restored.runs.trainable)[0].sharding.num_devices == 2
    last = fit(program, restored, *inputs, problem.fit_config, lambda *_: None)
    assert_same(jax.device_get(last), problem.fit(program))


def test_without_anything_kept_it_begins_at_the_beginning(problem, program, directory):
    state, _ = problem.place(program)
    assert Checkpointer(directory / "nowhere", 1e9).restore(state) is state


def test_adapter_optimiser_and_cursor_are_kept_apart(problem, program, directory):
    state, inputs = problem.place(program)
    state = program.advance(state, *inputs)
    saver = Checkpointer(directory, 1e9)
    saver.save(state, force=True)
    found = checkpoints.restore_latest(directory, None)
    assert found.metadata == {"step": 2}
    text = (directory / "step_00000002" / "metadata.json").read_text()
    assert all(name in text for name in ('"adapter"', '"optimizer"', '"cursor"'))


def test_the_state_of_other_runs_is_refused(problem, program, directory):
    state, inputs = problem.place(program)
    Checkpointer(directory, 1e9).save(program.advance(state, *inputs), force=True)
    other = problem.alone(0)
    with pytest.raises(InputError, match="checkpoint of another program"):
        Checkpointer(directory, 1e9).restore(other.place(other.compile())[0])


def test_a_state_is_kept_when_its_time_has_come_or_at_once(
    problem, program, directory, monkeypatch
):
    now, saved = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpointer, "save", lambda directory, step, *_: saved.append(step))
    saver = Checkpointer(directory, 10.0)
    state, _ = problem.place(program)

    def kept_at(seconds, force=False):
        now[0] = seconds
        saved.clear()
        saver.save(state, force=force)
        return saved == [0]

    assert not kept_at(9.0)
    assert kept_at(10.0)
    assert not kept_at(19.0)
    assert kept_at(19.5, force=True)
    assert not kept_at(29.0)
    assert kept_at(29.5)


def test_what_takes_long_to_save_is_saved_less_often(problem, program, directory, monkeypatch):
    now, saved = [0.0], []

    def save(*_):
        saved.append(now[0])
        now[0] += 5.0

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpointer, "save", save)
    saver = Checkpointer(directory, 10.0)
    state, _ = problem.place(program)
    for _ in range(20):
        now[0] += 5.0
        saver.save(state, force=False)
    # Saving takes five seconds, so fifty pass between the end of one and the next.
    assert saved == [10.0, 65.0]
