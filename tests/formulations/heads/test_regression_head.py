import math

import numpy as np
import pytest
from tiny_heads import EXAMPLES

from fsl_jax.data.examples import text_example
from fsl_jax.errors import InputError
from fsl_jax.formulations.heads.regression_head import number_scale
from fsl_jax.formulations.tokenized import Tokenized

EXAMPLES = EXAMPLES["regression_head"]
NONE = Tokenized([], 0)


def test_targets_are_standardised_and_answers_are_not(tiny_head):
    mean, deviation = number_scale(EXAMPLES)
    assert (mean, deviation) == pytest.approx((1.0, np.std([1.5, -2, 4, 0.5])))
    head = tiny_head("regression_head", "bert", mean=mean, deviation=deviation)
    targets = head.targets(EXAMPLES, NONE)
    assert (targets.mean(), targets.std()) == pytest.approx((0, 1), abs=1e-6)
    answers = head.decode(targets, EXAMPLES, NONE)
    assert all(type(answer) is float for answer in answers)
    assert answers == pytest.approx([1.5, -2, 4, 0.5], rel=1e-6)


def test_equal_numbers_have_a_scale_too():
    assert number_scale([text_example("a", 3.0), text_example("b", 3.0)]) == (3.0, 1.0)


@pytest.mark.parametrize(("mean", "deviation"), [(1.0, 0.0), (1.0, -1.0), (math.nan, 1.0)])
def test_a_scale_that_gives_no_numbers_is_refused(tiny_head, mean, deviation):
    with pytest.raises(
        InputError, match=r"cannot be standardised; expected .* a deviation above 0"
    ):
        tiny_head("regression_head", "bert", mean=mean, deviation=deviation)
