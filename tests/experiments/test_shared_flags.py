"""Limits in gibibytes."""

import math

import pytest

from experiments.shared_flags import bytes_of
from fsl_jax.ranges import MAX_INT64


@pytest.mark.parametrize(
    ("gib", "size"), [(0.0, 0), (1e-30, 1), (0.5, 2**29), (1e30, MAX_INT64), (math.inf, MAX_INT64)]
)
def test_a_limit_is_a_whole_number_of_bytes_and_only_zero_stands_for_the_default(gib, size):
    assert bytes_of(gib) == size
