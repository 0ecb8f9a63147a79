"""Configs that no study could run are refused with all problems at once."""

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.study_config import StudyConfig


def test_all_values_out_of_range_are_named_at_once():
    with pytest.raises(InputError) as caught:
        StudyConfig(shots=0, max_test=-1, max_length=7, seeds=(1, -2, 1))
    assert caught.value.problems == (
        "shots = 0: expected 1 or more",
        "max_test = -1: expected 1 or more",
        "max_length = 7: expected 8 or more",
        "seed -2: seeds are not negative",
        "seed 1 is given twice",
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("formulation", "formulation"),
        ("attention", "attention implementation"),
        ("dtype", "dtype"),
        ("matmul_precision", "matmul precision"),
    ],
)
def test_a_value_that_is_no_choice_is_refused(name, kind):
    with pytest.raises(InputError, match=f"unknown {kind} 'other'"):
        StudyConfig(**{name: "other"})


def test_no_seed_and_no_model_are_refused():
    with pytest.raises(InputError, match="no seeds"):
        StudyConfig(seeds=())
    with pytest.raises(InputError, match="--models"):
        StudyConfig(models=())
