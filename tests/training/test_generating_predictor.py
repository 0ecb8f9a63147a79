"""Runs that are trained to write answers, and write them."""

import dataclasses

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from fsl_jax.adapt import LoRA
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.sharding import make_mesh
from fsl_jax.tasks import few_shot_split
from fsl_jax.tasks.classification import Classification
from fsl_jax.training.predictors import make_predictor

STEPS = 80
WRITTEN = {"east": "far east", "north": "very very far north", "west": "west"}


class Directions(Classification):
    """Writes labels with one to four tokens, and reads nothing but these."""

    def written(self, example):
        return WRITTEN[example.answer]

    def parse(self, text, example, labels=()):
        return {text: label for label, text in WRITTEN.items()}.get(text.strip())


@pytest.fixture(scope="module")
def trained(tiny_problem, writers, trial):
    """Makes two trained runs of a family and their problem."""
    made = {}

    def make(family):
        if family not in made:
            base = with_large_logits(writers[family].pretrained)
            writer = dataclasses.replace(writers[family], pretrained=base, task=Directions())
            trials = [trial(LoRA(8, targets="layers")), trial(LoRA(6, targets="layers"), seed=21)]
            options = {"steps": STEPS, "evaluate_every": STEPS, "batch_size": 6}
            problem = tiny_problem(writer, trials, **options)
            made[family] = problem, problem.fit(problem.compile())
        return made[family]

    return make


def with_large_logits(base):
    """Enlarge logits, so that one token can be much more probable than all others."""
    # Those of T5 are divided by the root of its width.
    factors = {"final_norm/scale": 8.0, "decoder/final_norm/scale": 32.0}
    leaves = {path: leaf * factors.get(path, 1.0) for path, leaf in flatten(base.params).items()}
    return dataclasses.replace(base, params=unflatten(leaves))


def predictor(problem, trainable, **options):
    models = dataclasses.replace(problem.stack.models, trainable=trainable)
    return make_predictor(problem.formulation, models, **options)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_trained_runs_write_the_answers_that_they_were_trained_on(trained, tiny_dataset, family):
    problem, state = trained(family)
    assert (state.runs.losses[:, -5:].mean(axis=1) < 0.1).all()
    assert ((state.runs.measures > 0) & (state.runs.measures < 1)).all()
    writes = predictor(problem, state.runs.trainable)
    for run, seed in enumerate((13, 21)):
        examples = few_shot_split(tiny_dataset, 2, seed).train
        hidden = [dataclasses.replace(example, answer=None) for example in examples]
        found = writes.predict(hidden)
        assert found.answers[run] == [example.answer for example in examples]
        assert found.unreadable[run] == found.cut_answers[run] == 0
        assert [text.strip() for text in found.outputs[run]] == [
            WRITTEN[example.answer] for example in examples
        ]


def test_texts_that_give_no_answer_are_counted(trained, tiny_dataset):
    problem, state = trained("llama")
    examples = few_shot_split(tiny_dataset, 2, 13).train
    untrained = predictor(problem, jax.tree.map(np.zeros_like, state.runs.trainable))
    found = untrained.predict(examples)
    assert found.unreadable == [6, 6]
    assert found.answers == [[None] * 6] * 2
    assert found.cut_answers == [6, 6]
    assert found.outputs.shape == (2, 6)
    assert all(found.outputs.ravel())


@pytest.mark.parametrize("family", ["llama", pytest.param("t5", marks=pytest.mark.soak)])
def test_runs_on_a_mesh_learn_the_same(tiny_problem, writers, trial, family):
    trials = [trial(LoRA(4)), trial(LoRA(4), seed=21)]
    made = tiny_problem(writers[family], trials, steps=4, evaluate_every=2)
    expected = made.fit(made.compile())
    spread = made.in_rows(4)
    found = spread.fit(spread.compile(mesh=make_mesh(runs=2, batch=4)))
    np.testing.assert_allclose(found.runs.losses, expected.runs.losses, rtol=1e-3)
    np.testing.assert_allclose(found.runs.measures, expected.runs.measures, rtol=1e-3)


def test_runs_on_a_mesh_write_the_same(trained, tiny_dataset):
    problem, state = trained("llama")
    examples = few_shot_split(tiny_dataset, 2, 13).train
    expected = predictor(problem, state.runs.trainable).predict(examples)
    mesh = make_mesh(runs=2, batch=4)
    shardings = NamedSharding(mesh, PartitionSpec("runs"))
    spread = jax.device_put(state.runs.trainable, shardings)
    found = predictor(problem, spread, mesh=mesh).predict(examples)
    assert found.outputs.tolist() == expected.outputs.tolist()


def test_examples_that_were_cut_are_counted(trained, tiny_dataset):
    problem, state = trained("llama")
    shorter = dataclasses.replace(problem.formulation, max_length=16)
    writes = predictor(dataclasses.replace(problem, formulation=shorter), state.runs.trainable)
    examples = [*tiny_dataset.train, *tiny_dataset.test]
    long = sum(example.text.count(" ") + 3 > 8 for example in examples)
    assert writes.predict(examples).truncated == long > 0
