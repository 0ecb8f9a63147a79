"""The suite that every task passes, in every way to ask for its answers, with every family.

A case is what a line and a column of the table in docs/tasks.md stand for: a task asked in one way
of a tiny model, trained on few of its sample's examples. Each task, each way and each family is in
a quick case; the other cases run in `make soak`, and so does every method with every task.
"""

import functools

import jax
import pytest
from method_cases import METHODS
from same_training import (
    NOISE,
    assert_only_trained_leaves_change,
    assert_same_training,
    of_run,
)

from benchmarks.tasks.models import FAMILIES, configs, tokenizer
from benchmarks.tasks.rows import sample
from benchmarks.tasks.trying import Combination, combinations, formulation_of
from fsl_jax.adapt import LoRA
from fsl_jax.errors import InputError
from fsl_jax.studies.planning.formulations import HEAD, WAYS, WRITTEN
from fsl_jax.tasks import TASKS, few_shot_split

SHOTS = {name: 3 if name == "regression" else 2 for name in TASKS}
"""Of two numbers, the correlation is always 1."""

SEEDS = (13, 21, 42, 87)
RATES = (3e-3, 1e-2, 2e-3, 5e-3)
LORA = (LoRA(3), LoRA(2, alpha=3.0))

QUICK = tuple(
    Combination(*each)
    for each in (
        ("classification", "written", "GPT-2"),
        ("relation", "template", "Llama"),
        ("multilabel", "head", "T5"),
        ("multicolumn", "written", "T5"),
        ("regression", "head", "GPT-2"),
        ("tagging", "head", "BERT"),
        ("question_answering", "head", "Llama"),
        ("multiple_choice", "head", "BERT"),
        ("generation", "written", "Llama"),
    )
)

NO_GRADIENT = {("question_answering", HEAD): "head/bias", ("multiple_choice", HEAD): "head/bias"}
"""What moves the scores of all places, or of all choices, alike."""

ON_PLACES = ("relation", "tagging", "question_answering")
"""Tasks whose head reads hidden states where they stand in a text, which no suffix changes."""


def is_asked(combination):
    """An encoder writes nothing."""
    return combination.family != "BERT" or combination.way == HEAD


def noise_of(combination):
    return (NOISE, NO_GRADIENT.get((combination.task, combination.way), NOISE))


@pytest.fixture(scope="module")
def bases(build_tiny):
    """A tiny model of each family by name, every leaf of which is random."""
    made = configs()
    return functools.cache(lambda family: build_tiny(made[family], tokenizer(), seed=1))


@pytest.fixture(scope="module")
def train(bases, tiny_problem, trial):
    """Makes a problem of some methods for a combination, and trains it for a few steps."""

    def make(combination, methods):
        formulation = formulation_of(combination, bases(combination.family))
        data = sample(combination.task)
        runs = list(zip(methods, SEEDS, RATES, strict=False))
        problem = tiny_problem(
            formulation,
            [trial(*run) for run in runs],
            splits=[few_shot_split(data, SHOTS[data.task], seed) for _, seed, _ in runs],
            steps=6,
            batch_size=4,
            evaluate_every=3,
        )
        program = problem.compile()
        before = jax.device_get(problem.place(program)[0].runs.trainable)
        return problem, before, problem.fit(program).runs

    return make


def check(combination, problem, before, last):
    """Check what every program keeps to, whatever is asked."""
    noise = noise_of(combination)
    assert not last.diverged.any()
    assert_only_trained_leaves_change(problem, before, last.trainable, noise)
    alone = problem.alone(1)
    apart = alone.unpacked()
    assert problem.runs.training.shape.rows < apart.runs.training.shape.rows
    found = apart.fit(apart.compile()).runs
    assert_same_training(of_run(problem, last, 1), of_run(apart, found), noise=noise)


def test_every_task_every_way_and_every_family_has_a_quick_case():
    assert {each.task for each in QUICK} == set(TASKS)
    assert {each.way for each in QUICK} == {way for ways in WAYS.values() for way in ways}
    assert {each.family for each in QUICK} == set(FAMILIES)


@pytest.mark.parametrize(
    "combination",
    [
        pytest.param(each, id="-".join(each), marks=() if each in QUICK else pytest.mark.soak)
        for each in combinations()
        if is_asked(each)
    ],
)
def test_a_task_trains_packed_and_stacked_as_alone_in_rows_of_its_own(combination, train):
    check(combination, *train(combination, LORA))


@pytest.mark.parametrize("combination", [each for each in combinations() if not is_asked(each)])
def test_an_encoder_is_not_asked_to_write(combination, bases):
    with pytest.raises(InputError, match="no language model's logits"):
        formulation_of(combination, bases(combination.family))


def asked_of_llama(task):
    return Combination(task, HEAD if HEAD in WAYS[task] else WRITTEN, "Llama")


def serves(method, combination):
    """Llama has no biases, a probe trains a head, and a suffix changes nothing before it."""
    if "suffix" in method:
        return combination.way != HEAD or combination.task not in ON_PLACES
    return method != "bitfit" and (method != "linear_probe" or combination.way == HEAD)


@pytest.mark.soak
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_every_task_that_it_serves(method, task, train):
    combination = asked_of_llama(task)
    if serves(method, combination):
        check(combination, *train(combination, METHODS[method]))
    else:
        with pytest.raises(InputError):
            train(combination, METHODS[method])
