"""AdaLoRA's budget, schedule and penalty in PEFT's config, and back."""

import peft
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fsl_jax.adapt import AdaLoRA
from fsl_jax.adapt.peft.adalora_training import read_training, training_config, training_problems

PARTS = st.floats(0, 1, exclude_max=True)


@given(PARTS, PARTS)
@example(0.4996, 0.5)
@example(0.0, 0.9996)
@example(0.9996, 0.0)
def test_any_schedule_is_one_that_peft_takes_and_comes_back(warmup, final):
    if warmup + final >= 1:
        return
    method = AdaLoRA(4, 2, warmup=warmup, final=final, interval=3, penalty_weight=0.25)
    values = training_config(method)
    peft.AdaLoraConfig(init_r=4, **values)
    assert not training_problems(values)
    again = AdaLoRA(4, **read_training(values))
    assert (again.target_rank, again.interval, again.penalty_weight) == (2, 3, 0.25)
    assert abs(again.warmup - warmup) <= 1e-3
    assert abs(again.final - final) <= 2e-3


def test_what_is_null_is_as_it_is_by_default():
    nulls = dict.fromkeys(training_config(AdaLoRA()))
    assert not training_problems(nulls)
    settings = read_training(nulls)
    assert settings == read_training({})
    assert settings["target_rank"] == peft.AdaLoraConfig(total_step=1).target_r
    # No part of the training is known without a number of steps.
    assert not {"warmup", "final"} & settings.keys()


def test_all_that_is_wrong_is_listed_by_pefts_names():
    values = {
        "target_r": 0,
        "deltaT": 0,
        "beta1": 1.0,
        "beta2": "x",
        "orth_reg_weight": -1,
        "total_step": 100,
        "tinit": 20,
        "tfinal": 80,
    }
    assert training_problems(values) == [
        "target_r is 0; expected a whole number of at least 1",
        "deltaT is 0; expected a whole number of at least 1",
        "beta1 is 1.0; expected a number between 0 and 1",
        "beta2 is 'x'; expected a number between 0 and 1",
        "orth_reg_weight is -1; expected a number of at least 0",
        "tinit is 20 and tfinal 80; expected less than the total_step of 100 together, so that the "
        "budget can fall between",
    ]


@pytest.mark.parametrize("name", ["tinit", "tfinal"])
@pytest.mark.parametrize("value", [-1, 1.5, False, "3"])
def test_a_schedule_is_in_steps(name, value):
    expected = f"{name} is {value!r}; expected a number of steps"
    assert training_problems({name: value, "total_step": 10}) == [expected]
    assert training_problems({"total_step": 0}) == [
        "total_step is 0; expected a whole number of at least 1"
    ]
