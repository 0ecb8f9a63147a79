"""Configs that no study could run are refused with all problems at once."""

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.study_config import StudyConfig


def test_all_values_out_of_range_are_named_at_once():
    with pytest.raises(InputError) as caught:
        StudyConfig(shots=0, max_test=-1, max_length=7, seeds=(1, -2, 1))
    assert caught.value.problems == (
        "shots = 0: expected a whole number, 1 or more",
        "seeds = -2: expected a whole number, from 0 to 18,446,744,073,709,551,615",
        "max_test = -1: expected a whole number, 1 or more",
        "max_length = 7: expected a whole number, 8 or more",
        "seed 1 is given twice",
    )


def test_numbers_in_lists_and_meshes_are_checked_too():
    with pytest.raises(InputError) as caught:
        StudyConfig(learning_rates="lora:inf,1e-50,0.1", steps="ten", batch_size="0", runs_axis=0)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "mesh_runs = 0",
        "learning_rates = inf",
        "learning_rates = 1e-50",
        "--steps",
        "batch_size = 0",
    ]


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


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"verbalizer": "{'good': 1}"}, "cannot read the verbalizer"),
        ({"verbalizer": '{"good": "great", "good": "fine"}'}, "'good' is given twice"),
        ({"verbalizer": "[" * 10_000}, "nested more than"),
        ({"template": "no field"}, "cannot be used"),
        ({"template": "\ud83d {text}"}, "half a surrogate pair"),
    ],
)
def test_a_template_or_verbalizer_that_cannot_be_read_is_refused_where_it_is_not_used(
    option, message
):
    with pytest.raises(InputError, match=message):
        StudyConfig(models=("minilm-l6",), formulation="head", **option)
