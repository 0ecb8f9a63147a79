"""Load the base model of a study or an evaluation from flag values."""

import jax.numpy as jnp
from jax.sharding import Mesh

from fsl_jax.models.attention.implementations import AUTO
from fsl_jax.models.loading import load
from fsl_jax.models.pretrained import Pretrained


def load_base(
    name: str, dtype: str = "auto", mesh: Mesh | None = None, attention: str = AUTO
) -> Pretrained:
    """Load a base model.

    Args:
      name: the name, as for `fsl_jax.load`.
      dtype: `float32`, `bfloat16`, or `auto` for the default of `fsl_jax.load`.
      mesh: the mesh, if there are several devices.
      attention: the implementation of attention, as for `fsl_jax.load`.

    Returns:
      The model.
    """
    chosen = None if dtype == "auto" else jnp.dtype(dtype)
    return load(name, dtype=chosen, mesh=mesh, attention=attention)
