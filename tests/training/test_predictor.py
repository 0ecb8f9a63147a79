"""Predictions of many runs on the same examples."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import LoRA, combine
from fsl_jax.data.examples import text_example
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.training.predictor import Predictor


@pytest.fixture(scope="module")
def problem(tiny_problem, trial):
    made = tiny_problem("llama-template", [trial(LoRA(2)), trial(LoRA(3, alpha=4.0), seed=21)])
    filled = jax.tree.map(lambda leaf: jnp.where(leaf == 0, 0.1, leaf), made.stack.trainable)
    return made, filled


@pytest.fixture(scope="module")
def examples():
    """Ten short texts and five long ones in no order."""
    lengths = [20, 3, 4, 5, 22, 3, 4, 5, 6, 21, 7, 3, 19, 20, 4]
    words = np.random.default_rng(0).integers(0, 50, (len(lengths), 30))
    texts = [" ".join(f"w{w}" for w in row[:n]) for row, n in zip(words, lengths, strict=True)]
    return [text_example(text, "east") for text in texts]


def models(problem):
    made, trainable = problem
    return dataclasses.replace(made.stack.models, trainable=trainable)


def ask(problem, examples, **options):
    made, _ = problem
    return Predictor(made.formulation, models(problem), **options).predict(examples).outputs


def test_each_run_says_what_it_says_alone_to_each_example(problem, examples):
    made, trainable = problem
    found = ask(problem, examples, batch_tokens=64)
    assert found.shape == (2, 15, 3)
    assert np.abs(found[0] - found[1]).max() > 0.01

    @jax.jit
    def logits(params, batch):
        return made.formulation.outputs(params, batch)[0]

    for run in range(2):
        own = jax.tree.map(lambda leaf, run=run: leaf[run], (trainable, made.stack.frozen_leaves))
        params = combine(*own, made.stack.shared)
        for row in (0, 1, 9):
            tokens = made.formulation.tokenize([examples[row]]).tokens
            expected = logits(params, unpacked_batch(made.formulation.segments(params, tokens)))
            np.testing.assert_allclose(found[run, row], expected, atol=1e-5)


def test_texts_that_were_cut_are_counted(problem, examples):
    made, _ = problem
    shorter = dataclasses.replace(made.formulation, max_length=10)

    def truncated(formulation):
        return Predictor(formulation, models(problem)).predict(examples).truncated

    assert truncated(shorter) == 5
    assert truncated(made.formulation) == 0


def test_all_batches_of_short_texts_and_all_calls_share_a_program(problem, examples, compilations):
    made, _ = problem
    predictor = Predictor(made.formulation, models(problem), batch_tokens=64)
    with compilations() as compiled:
        for _ in range(2):
            predictor.predict(examples * 3)
    assert sum("outputs" in name for name in compiled) == 1
