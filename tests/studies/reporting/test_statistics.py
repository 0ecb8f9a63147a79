import math

import numpy as np
import pytest
import scipy.stats

from fsl_jax.studies.reporting.statistics import paired_difference, sampling_margin, spread


def test_mean_and_sample_deviation():
    found = spread([0.8, 0.9, 0.85])
    assert found.mean == pytest.approx(0.85)
    assert found.std == pytest.approx(0.05)


def test_the_interval_is_that_of_students_t():
    values = [0.8, 0.9, 0.85, 0.82, 0.7]
    expected = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert spread(values).ci95 == pytest.approx((expected.low, expected.high))


def test_the_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = 0.7 + 0.02 * rng.standard_normal((4000, 3))
    intervals = [spread(list(draw)).ci95 for draw in draws]
    held = np.mean([low <= 0.7 <= high for low, high in intervals])
    assert held == pytest.approx(0.95, abs=0.01)


def test_the_interval_stays_within_what_a_share_can_be():
    assert spread([0.9, 1.0, 1.0]).ci95[1] == 1.0
    assert spread([0.0, 0.1, 0.0]).ci95[0] == 0.0


def test_one_value_has_neither_deviation_nor_interval():
    found = spread([0.8])
    assert (found.mean, found.std, found.ci95) == (0.8, None, None)


def test_equal_values_have_an_interval_of_no_width():
    found = spread([0.1, 0.1, 0.1])
    assert (found.std, found.ci95) == (0.0, (found.mean, found.mean))


def test_differences_are_taken_seed_by_seed():
    easy, hard = [0.9, 0.7, 0.8], [0.88, 0.68, 0.78]
    found = paired_difference(hard, easy)
    assert found.mean == pytest.approx(-0.02)
    assert found.std == pytest.approx(0.0, abs=1e-12)
    assert found.ci95 == pytest.approx((-0.02, -0.02))


def test_differences_need_the_same_seeds():
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([0.9, 0.8], [0.9])


def test_sampling_margin_is_close_to_the_textbook_one_and_defined_at_the_ends():
    assert sampling_margin(0.5, 1000) == pytest.approx(1.96 * math.sqrt(0.25 / 1000), rel=0.01)
    assert 0.0 < sampling_margin(1.0, 200) < 0.02
