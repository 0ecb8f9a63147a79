"""Batches that no memory can hold are refused before they are drawn."""

import psutil
import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.study_config import StudyConfig


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    class Memory:
        total = 36 * 100 * 8 * 3

    monkeypatch.setattr(psutil, "virtual_memory", Memory)


def config(steps: str) -> StudyConfig:
    return StudyConfig(methods="lora", learning_rates="1e-3", seeds=(1, 2, 3), steps=steps)


def test_batches_that_just_fit_are_planned():
    assert len(plan_programs(config("100"))) == 1


def test_programs_with_too_many_batches_are_named():
    with pytest.raises(InputError, match="00-minilm-l6-lora: 101 steps of 8 examples in 3 runs"):
        plan_programs(config("101"))


def test_methods_without_batches_take_no_memory():
    asked = StudyConfig(models=("smollm2-135m",), methods="icl", steps="1000000", seeds=(1,))
    assert len(plan_programs(asked)) == 1
