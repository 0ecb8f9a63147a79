"""Random keys from seeds."""

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.errors import InputError
from fsl_jax.ranges import SEED


def seed_key(seed: int) -> jax.Array:
    """Return a threefry key, which is another one for each seed.

    `jax.random.key` takes the lower 32 bits of a seed, and passes over the others without a word.
    Up to 2**32 the key is the same.

    Args:
      seed: in the range `fsl_jax.ranges.SEED`.

    Returns:
      The key.

    Raises:
      InputError: the seed is not in the range.
    """
    if problem := SEED.problem("seed", seed):
        raise InputError(problem)
    halves = jnp.asarray(np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32))
    return jax.random.wrap_key_data(halves, impl="threefry2x32")
