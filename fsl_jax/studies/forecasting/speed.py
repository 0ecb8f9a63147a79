"""The assumed speed of models on a device, before any model has run."""

import time

import jax
import jax.numpy as jnp

SIZE = 2048
"""The rows and columns of the matrix product that measures the speed of this device."""

EFFICIENCY = 0.5
"""The share of that speed that a whole model is assumed to reach."""


def assumed_speed(mesh: jax.sharding.Mesh | None = None) -> float:
    """Measure one matrix product, and estimate the speed of models on all devices of a study.

    Args:
      mesh: the mesh, if there are several devices.

    Returns:
      Floating-point operations per second, for all devices together.
    """
    square = jnp.ones((SIZE, SIZE), jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    product(square, square).block_until_ready()
    fastest = float("inf")
    for _ in range(3):
        start = time.monotonic()
        product(square, square).block_until_ready()
        fastest = min(fastest, time.monotonic() - start)
    return EFFICIENCY * 2 * SIZE**3 / fastest * (mesh.size if mesh is not None else 1)
