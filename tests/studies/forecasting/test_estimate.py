"""Operations of programs, counted from what they compute, for models whose sizes are known."""

import dataclasses

import pytest
from etils import epath

from fsl_jax.models.families.registry import module_of
from fsl_jax.studies.forecasting.estimate import program_operations, program_written_tokens
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.opening import open_study
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.studies.running.prepare import prepare
from fsl_jax.training.stacked_runs import stack_shapes


@pytest.fixture(scope="module")
def opened(tiny_formulations, tiny_dataset):
    """Calls a function with a study of a tiny model, and each of its programs."""

    def call(function, methods, kind="bert-head", **settings):
        model = tiny_formulations[kind].pretrained
        # Long enough for demonstrations.
        config = (
            dataclasses.replace(model.config, max_length=128) if "llama" in kind else model.config
        )
        model = dataclasses.replace(model, config=config, module=module_of(config))
        asked = {"shots": 1, "seeds": (1, 2), "steps": "10", "batch_size": "3"} | settings
        config = StudyConfig(("tiny",), "tiny", methods, learning_rates="0.1,0.01", **asked)
        output = epath.Path("nowhere")
        with open_study(config, output, tiny_dataset, RunOptions()) as study:
            study = dataclasses.replace(study, load=lambda name: model)
            return [function(study, each) for each in plan_programs(config)]

    return call


@pytest.fixture(scope="module")
def count(opened):
    """The operations of the programs of a study."""
    return lambda *asked, **settings: opened(program_operations, *asked, **settings)


@pytest.fixture(scope="module")
def prepared(opened):
    """What the first program of a study reads."""

    def of_program(study, planned):
        pretrained = study.load(planned.model)
        return prepare(planned, pretrained, study.dataset, study.config, stack_shapes)

    return lambda *asked, **settings: opened(of_program, *asked, **settings)[0]


@pytest.fixture(scope="module")
def step(count):
    """The operations of one step of one run: what one step more of four runs adds, in quarters."""
    return lambda method: (count(method, steps="9")[0] - count(method, steps="8")[0]) / 4


def expected(rows, tokens, matrices, attention):
    """Operations of rows: so many passes of two layers of width 16 and 40, and of attention."""
    of_matrices = 2 * tokens * (4 * 16 * 16 + 2 * 16 * 40)
    of_attention = 2 * 2 * 16 * tokens**2
    return 2 * rows * (matrices * of_matrices + attention * of_attention)


@pytest.fixture(scope="module")
def expected_step(prepared):
    """Backward, attention is five products, one of them the scores again, not two."""

    def of_method(method, matrices):
        shape = prepared(method).runs.training.shape
        return expected(shape.rows, shape.length, matrices, 1 + 5 / 2)

    return of_method


def test_training_grows_with_the_steps_and_validations_with_their_number(count):
    (one,), (two,), (three,) = (count("lora", steps=steps) for steps in ("10", "20", "30"))
    assert two > one
    assert two - one == pytest.approx(three - two)
    (seldom,), (often,) = (count("lora", evaluate_every=every) for every in (10, 5))
    # A validation reads as many examples as a step, and forward only; its rows are as full.
    assert 0.25 < (often - seldom) / (two - one) * 10 < 0.75


@pytest.mark.parametrize(("method", "passes"), [("full", 3), ("bitfit", 2)])
def test_a_gradient_is_a_pass_of_its_own_and_one_more_for_the_matrices_that_train(
    step, expected_step, method, passes
):
    assert step(method) == pytest.approx(expected_step(method, passes), rel=0.01)


@pytest.mark.parametrize("length", [4, 12])
def test_a_soft_prompt_costs_what_its_positions_do(step, expected_step, length):
    method = f"prompt_tuning(length={length})"
    assert step(method) == pytest.approx(expected_step(method, 2), rel=0.01)


def test_where_only_a_head_trains_each_token_is_read_once(count, step, prepared, tiny_dataset):
    assert 0 < step("linear_probe") < step("bitfit") / 1000
    made = prepared("linear_probe")
    tested = made.formulation.tokenize(tiny_dataset.test).tokens
    tokens = len(made.encoded.pool.tokens) + sum(map(len, tested))
    # Padding and attention, and little else, come on top of the products with matrices.
    assert tokens <= count("linear_probe")[0] / expected(1, 1, 1, 0) < 2 * tokens


def test_what_lies_below_the_trained_layers_is_not_read_in_each_step(step):
    # One layer of two.
    assert step("top_layers(k=1)") == pytest.approx(step("full") / 2, rel=0.05)


def test_runs_of_one_program_count_each_and_a_method_s_own_additions_too(count):
    (one,), (both,) = count("lora(rank=1)"), count("lora(rank=1),lora(rank=2)")
    assert both > 2 * one
    assert both == pytest.approx(2 * one, rel=0.1)
    (vera,) = count("vera")
    assert vera > one


def test_demonstrations_are_read_for_each_split_and_seen_by_each_query(count):
    settings = {"max_length": None, "max_prompt_tokens": 100}
    zero_shot, icl = count("zero_shot,icl", "llama-template", **settings)
    # Without demonstrations a split makes no difference, and here are two.
    assert icl > 2 * zero_shot
    (one,) = count("icl", "llama-template", seeds=(1,), **settings)
    assert one < icl


def test_each_answer_that_is_written_has_as_many_tokens_as_it_may(opened, tiny_dataset):
    """One set of answers serves both seeds without demonstrations; two of four runs are tested."""
    once = 4 * len(tiny_dataset.test)
    settings = {"max_answer": 4, "formulation": "written"}
    found = opened(program_written_tokens, "zero_shot,icl,lora", "llama-template", **settings)
    assert found == [once, 2 * once, 2 * once]
    assert opened(program_written_tokens, "zero_shot,lora", "llama-template") == [0, 0]
