"""How fast models are taken to run on a device, before any was run."""

import time

import jax
import jax.numpy as jnp

SIZE = 2048
"""Rows and columns of the matrix product that tells how fast this device is."""

EFFICIENCY = 0.5
"""Share of that speed that a whole model is taken to reach."""


def assumed_speed(mesh: jax.sharding.Mesh | None = None) -> float:
    """What models are taken to reach on the devices of a study, which one product is timed for.

    Args:
      mesh: the mesh, if there are several devices.

    Returns:
      Floating-point operations a second, of all devices together.
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
