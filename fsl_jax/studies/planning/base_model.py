"""Loading the base model of a study or an evaluation from values of flags."""

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
      name: as `fsl_jax.load` takes it.
      dtype: `float32`, `bfloat16`, or `auto`, which is what `fsl_jax.load` does by default.
      mesh: the mesh, if there are several devices.
      attention: as `fsl_jax.load` takes it.

    Returns:
      The model.
    """
    chosen = None if dtype == "auto" else jnp.dtype(dtype)
    return load(name, dtype=chosen, mesh=mesh, attention=attention)
