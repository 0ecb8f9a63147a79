r"""Measure the implementations of attention in turns, with and without gradients.

Example: `JAX_PLATFORMS=cpu python -m benchmarks.attention --repeats=20`

The shapes are those of the embedded models in training. The peer of each line is
`jax.nn.dot_product_attention`. On a GPU the dtype is bfloat16, and cuDNN's is another peer. The
table is in `benchmarks/README.md`, and `FASTEST` in `fsl_jax/models/attention/self_attention.py`
follows from it.
"""

import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from absl import app, flags

from benchmarks.measure import Row, alternate, machine, table
from fsl_jax.compilation import jit
from fsl_jax.models.attention.implementations import CUDNN, WRITTEN_OUT, XLA
from fsl_jax.models.attention.self_attention import self_attention

_REPEATS = flags.DEFINE_integer("repeats", 20, "Turns of each measurement.")
_LAYERS = flags.DEFINE_integer("layers", 10, "Times that attention runs in a measurement.")

SHAPES = {  # rows, tokens, heads, key heads, width of a head
    "minilm-l6": (16, 128, 12, 12, 32),
    "smollm2-135m": (8, 128, 9, 3, 64),
    "smollm2-135m, long": (2, 512, 9, 3, 64),
}


def attention(implementation: str, shape: tuple[int, ...], backward: bool) -> Callable[[], float]:
    """Return a function that runs attention, perhaps with its gradient, and returns seconds."""
    rows, tokens, heads, groups, width = shape
    dtype = jnp.bfloat16 if jax.default_backend() == "gpu" else jnp.float32
    drawn = jax.random.split(jax.random.key(0), 3)
    inputs = [
        jax.random.normal(key, (rows, tokens, count, width), dtype)
        for key, count in zip(drawn, (heads, groups, groups), strict=True)
    ]
    mask = jnp.broadcast_to(jnp.tril(jnp.ones((tokens, tokens), bool)), (rows, tokens, tokens))
    forward = functools.partial(self_attention, mask=mask, implementation=implementation)

    def total(*states: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(forward(*states).astype(jnp.float32)))

    run = jit(jax.grad(total, argnums=(0, 1, 2)) if backward else forward)

    def measure() -> float:
        begin = time.perf_counter()
        for _ in range(_LAYERS.value):
            jax.block_until_ready(run(*inputs))
        return time.perf_counter() - begin

    return measure


def rows() -> list[Row]:
    """Measure a line for every shape, direction and peer."""
    peers = [XLA, CUDNN] if jax.default_backend() == "gpu" else [XLA]
    lines = []
    for name, shape in SHAPES.items():
        for backward in (False, True):
            sides = {each: attention(each, shape, backward) for each in (WRITTEN_OUT, *peers)}
            seconds = alternate(sides, _REPEATS.value)
            work = f"attention of {name}, {_LAYERS.value} times" + ", with gradient" * backward
            lines += [Row(work, peer, seconds[WRITTEN_OUT], seconds[peer], None) for peer in peers]
    return lines


def main(_: list[str]) -> None:
    """Print the table."""
    print(machine())
    print(table(rows()))


if __name__ == "__main__":
    app.run(main)
