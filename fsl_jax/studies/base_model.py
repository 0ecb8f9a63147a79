"""The base model of a study or an evaluation, in the dtype that suits the platform."""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from fsl_jax.models.loading import load
from fsl_jax.models.pretrained import Pretrained


def load_base(name: str, dtype: str = "auto", mesh: Mesh | None = None) -> Pretrained:
    """Loads a base model.

    Args:
      name: as `fsl_jax.load` takes it.
      dtype: `float32`, `bfloat16`, or `auto`: float32 on a CPU, where bfloat16 is slow, and
        bfloat16 on accelerators.
      mesh: the mesh, if there are several devices.

    Returns:
      The model.
    """
    if dtype == "auto":
        dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return load(name, dtype=jnp.dtype(dtype), mesh=mesh)
