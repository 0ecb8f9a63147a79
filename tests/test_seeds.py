"""Every seed has a key of its own."""

import itertools

import jax
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.seeds import seed_key


@pytest.mark.parametrize("seed", [0, 13, 2**31 - 1, 2**31, 2**32 - 1])
def test_seeds_of_32_bits_have_the_keys_of_jax(seed):
    expected = jax.random.key(seed, impl="threefry2x32")
    assert seed_key(seed).dtype == expected.dtype
    np.testing.assert_array_equal(*map(jax.random.key_data, (seed_key(seed), expected)))


def test_wider_seeds_have_other_keys():
    seeds = [7, 7 + 2**32, 7 + 2**33, 7 + 2**63, 2**64 - 1, 2**63]
    keys = [jax.random.key_data(seed_key(seed)) for seed in seeds]
    assert not any((one == other).all() for one, other in itertools.combinations(keys, 2))


@pytest.mark.parametrize("seed", [-1, 2**64, 2**200])
def test_other_seeds_are_refused(seed):
    with pytest.raises(InputError, match="seed = "):
        seed_key(seed)
