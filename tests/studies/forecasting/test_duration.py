"""Durations say their unit."""

import pytest

from fsl_jax.studies.forecasting.duration import duration


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.01, "1 second"),
        (1.4, "1 second"),
        (1.6, "2 seconds"),
        (59.0, "59 seconds"),
        (150.0, "2.5 minutes"),
        (11160.0, "3.1 hours"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds, expected):
    assert duration(seconds) == expected
