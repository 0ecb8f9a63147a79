"""Testing the selected runs of a program, and the records of all of them."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from fsl_jax.formulations import HeadFormulation
from fsl_jax.processes import to_host
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.running import testing
from fsl_jax.studies.running.fit_records import fit_records
from fsl_jax.studies.running.prepare import prepare
from fsl_jax.studies.running.testing import Measured, measure_selected
from fsl_jax.studies.running.training import Fitted
from fsl_jax.training.predicted import Predicted

HISTORY = {
    "best_measure": np.float32([0.75, 0.5, -np.inf]),
    "best_step": np.int32([4, 2, 0]),
    "best_loss": np.float32([1, 1, np.nan]),
    "stopped": np.array([False, True, True]),
    "diverged": np.array([False, False, True]),
    "measures": np.float32([[0.5, 0.75], [0.5, np.nan], [np.nan, np.nan]]),
    "losses": np.float32([[4, 2, 1, 1], [2, 2, np.nan, np.nan], [np.nan] * 4]),
}


@pytest.fixture(scope="module")
def trained(running_study):
    """A study whose texts are cut, its arrays, and leaves that stand for trained ones."""
    changes = {"seeds": (1, 2, 3), "steps": "4", "evaluate_every": 2, "max_length": 9}
    changes["model_length"] = 32  # BERT has a table of positions
    with running_study("bitfit", "bert", learning_rates="0.1", **changes) as study:
        (program,) = plan_programs(study.config)
        prepared = prepare(program, study.load("tiny"), study.dataset, study.config)
        draw = np.random.default_rng(0).normal
        best = jax.tree.map(
            lambda leaf: leaf + draw(size=leaf.shape).astype(np.float32),
            to_host(prepared.stack.trainable),
        )
        yield study, prepared, Fitted(best, HISTORY)


@pytest.mark.parametrize("selected", [[], [0, 1]], ids=["none", "two"])
def test_the_test_set_is_tokenised_once(trained, monkeypatch, selected):
    study, prepared, fitted = trained
    calls, tokenize = [], HeadFormulation.tokenize

    def counting(self, examples):
        calls.append(len(examples))
        return tokenize(self, examples)

    monkeypatch.setattr(HeadFormulation, "tokenize", counting)
    measured = measure_selected(study, prepared, fitted, selected)
    records = fit_records(study, prepared, fitted, measured, {})
    assert calls == [len(study.test)]
    assert list(measured.scores) == selected
    texts = [example.text.split() for example in study.test]
    assert measured.truncated == sum(len(words) > 9 for words in texts) > 0
    expected = f"{measured.truncated} test texts were longer than 9 tokens and were cut"
    assert all(expected in record.notes for record in records)


def test_a_selected_run_has_the_accuracy_that_it_has_alone(trained):
    study, prepared, fitted = trained
    both = measure_selected(study, prepared, fitted, [0, 2]).scores
    assert both[2] == measure_selected(study, prepared, fitted, [2]).scores[2]


def test_answers_are_counted_by_the_run_that_wrote_them(trained, monkeypatch):
    study, prepared, fitted = trained
    right = [example.answer for example in study.test]
    predicted = Predicted([right, [None, *right[1:]]], [], 0, [2, 1])
    monkeypatch.setattr(
        testing, "make_predictor", lambda *args: SimpleNamespace(predict=lambda examples: predicted)
    )
    measured = measure_selected(study, prepared, fitted, [0, 2])
    assert measured.cut_answers == {0: 2, 2: 1}
    assert measured.unreadable == {0: 0, 2: 1}


def test_answers_that_were_cut_or_not_read_are_noted(trained, writers):
    study, prepared, fitted = trained
    writing = dataclasses.replace(prepared, formulation=writers["llama"])
    measured = Measured({0: 0.25, 1: 0.5}, 0, {0: 0, 1: 1}, {0: 2, 1: 0})
    cut, unread, unselected = fit_records(study, writing, fitted, measured, {})
    count = len(study.test)
    assert cut.notes[-1] == f"2 of {count} test answers were cut at 8 tokens (--max_answer)"
    assert unread.notes[-1] == "1 test answers could not be read, and count as wrong"
    assert not any("answers" in note for note in unselected.notes)
    assert len(cut.notes) == len(unread.notes) == len(unselected.notes) + 1


def test_records_say_how_each_run_ended(trained):
    study, prepared, fitted = trained
    first, second, failed = fit_records(
        study, prepared, fitted, Measured({0: 0.25}, 0), {0: "there"}
    )
    assert [run.status for run in (first, second, failed)] == ["finished", "stopped_early", "nan"]
    assert [run.selected for run in (first, second, failed)] == [True, False, False]
    assert (first.test, first.adapter, first.validation, first.best_step) == (
        0.25,
        "there",
        0.75,
        4,
    )
    assert (failed.validation, failed.best_step, failed.curve) == (None, None, ())
    assert [tuple(point) for point in first.curve] == [(2, 0.5, 3.0), (4, 0.75, 1.0)]
    assert [tuple(point) for point in second.curve] == [(2, 0.5, 2.0)]
    assert first.settings["method"] == {}
    assert first.settings["dropout"] == 0.0
    assert not any("test texts" in note for note in first.notes)
