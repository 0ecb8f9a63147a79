"""PiSSA: a low-rank update that starts out as the principal part of its weight.

Meng et al., 2024, "PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large
Language Models", https://arxiv.org/abs/2404.02948.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_MORE = 10
"""The number of extra directions in the subspace iteration, so that the last ones converge."""

_ITERATIONS = 16
"""The largest number of iterations that the paper needed to match exact singular vectors."""


@functools.partial(jax.jit, static_argnames="rank")
def principal_part(
    kernel: Float[Array, "*L D E"], rank: int
) -> tuple[Float[Array, "*L D R"], Float[Array, "*L R E"]]:
    """Return two factors of the low-rank part of a weight with the largest singular values.

    They are found by subspace iteration, the paper's fast decomposition, since full decompositions
    of all layers of a large model take minutes. The initial subspace is drawn from a constant key,
    so the same weight always gives the same result.

    Args:
      kernel: `[L, in, out]` or `[in, out]`.
      rank: R, at most the smaller width.

    Returns:
      `U S^(1/2)` `[..., in, R]` and `S^(1/2) V^T` `[..., R, out]`, float32, whose product is close
      to the nearest matrix of rank R.
    """
    if kernel.ndim > 2:
        return jax.lax.map(functools.partial(principal_part, rank=rank), kernel)
    weight = kernel.astype(jnp.float32)
    width = min(rank + _MORE, *weight.shape)
    start = jax.random.normal(jax.random.key(0, impl="threefry2x32"), (weight.shape[1], width))

    def closer(_: Array, right: Array) -> Array:
        left = jnp.linalg.qr(weight @ right)[0]
        return jnp.linalg.qr(weight.T @ left)[0]

    right = jax.lax.fori_loop(0, _ITERATIONS, closer, jnp.linalg.qr(start)[0])
    left, values, turned = jnp.linalg.svd(weight @ right, full_matrices=False)
    halves = jnp.sqrt(values[:rank])
    return left[:, :rank] * halves[None], halves[:, None] * (turned @ right.T)[:rank]
