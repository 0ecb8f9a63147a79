import pytest

from experiments.shared_flags import bytes_of
from fsl_jax.ranges import MAX_INT64


@pytest.mark.parametrize(
    ("gib", "size"),
    [
        (0.0, 0),
        (1.0, 2**30),
        (0.5, 2**29),
        (1e-30, 1),
        (float("inf"), MAX_INT64),
        (1e300, MAX_INT64),
    ],
)
def test_a_limit_in_bytes_is_at_least_one_and_has_64_bits(gib, size):
    assert bytes_of(gib) == size
