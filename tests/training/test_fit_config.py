"""The config that the runs of a program share."""

import jax
import pytest

from fsl_jax.errors import InputError
from fsl_jax.training.fit_config import FitConfig, longest_dispatch


@pytest.mark.parametrize(
    ("steps", "evaluate_every", "longest", "expected"),
    [
        (100, 10, 1000, 10),
        (100, 10, 4, 2),
        (30, 12, 1000, 6),
        (7, 5, 1000, 1),
        (20, 20, 1000, 20),
        (20, 20, 3, 2),
    ],
)
def test_a_dispatch_ends_where_validations_fall(steps, evaluate_every, longest, expected):
    config = FitConfig(steps, batch_size=4, evaluate_every=evaluate_every, longest_dispatch=longest)
    assert config.steps_per_dispatch == expected
    assert steps % expected == evaluate_every % expected == 0


@pytest.mark.parametrize(
    ("steps", "evaluate_every", "expected"), [(100, 10, 10), (7, 5, 2), (5, 5, 1), (4, 5, 1)]
)
def test_the_last_step_has_a_validation(steps, evaluate_every, expected):
    config = FitConfig(steps, batch_size=4, evaluate_every=evaluate_every)
    assert config.evaluations == expected


def test_all_settings_out_of_range_are_named_at_once():
    with pytest.raises(InputError) as error:
        FitConfig(
            steps=0,
            batch_size=0,
            evaluate_every=0,
            warmup=1.0,
            clip_norm=0.0,
            patience=-1,
            dropout=1.0,
        )
    assert [problem.partition(":")[0] for problem in error.value.problems] == [
        "steps = 0",
        "batch_size = 0",
        "evaluate_every = 0",
        "warmup = 1.0",
        "clip_norm = 0.0",
        "patience = -1",
        "dropout = 1.0",
    ]


def test_many_steps_are_divided_at_once():
    config = FitConfig(2**31 - 1, batch_size=4, evaluate_every=2**31 - 1, longest_dispatch=1000)
    assert config.steps_per_dispatch == 1


@pytest.mark.parametrize(("platform", "expected"), [("cpu", 1), ("gpu", 1000), ("tpu", 1000)])
def test_accelerators_take_many_steps_in_a_dispatch(monkeypatch, platform, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert longest_dispatch() == expected
