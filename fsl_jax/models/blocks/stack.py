"""Run stacked layers with a scan over leaves that are stacked on a leading axis."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from fsl_jax.compilation import target_platform
from fsl_jax.models.outputs import Params

Activations = Float[Array, "B T D"]

_REMATERIALIZED = ContextVar("rematerialized", default=False)


@contextlib.contextmanager
def rematerialized_layers(rematerialized: bool = True) -> Iterator[None]:
    """Rematerialize the layers of all functions that are traced in this context.

    The gradient then keeps only the input of each layer and computes the rest again in the backward
    pass. That is a third more arithmetic, and memory grows with one layer instead of all
    (Chen et al., 2016, https://arxiv.org/abs/1604.06174).

    Args:
      rematerialized: False does not rematerialize.
    """
    token = _REMATERIALIZED.set(rematerialized)
    try:
        yield
    finally:
        _REMATERIALIZED.reset(token)


def depth(stack: Params) -> int:
    """Return the number of layers in a stack, which may be 0."""
    return jax.tree.leaves(stack)[0].shape[0]


def initialise_stack(key: Array, block: nn.Module, layers: int, *inputs: Any) -> Params:
    """Draw the leaves of `layers` blocks, stacked; `inputs` are the arguments of one block."""
    keys = jax.random.split(key, layers)
    return jax.vmap(lambda each: block.init(each, *inputs)["params"])(keys)


def run_stack(
    layer: Callable[[Params, Activations, UInt32[Array, ""], Any], tuple[Activations, Any]],
    stack: Params,
    x: Activations,
    first: int = 0,
    inputs: Any = None,
) -> tuple[Activations, Any]:
    """Run the layers of a stack one after the other.

    Args:
      layer: runs one layer, `layer(params, x, number, inputs) -> (x, output)`.
      stack: leaves stacked on a leading axis `[L, ...]`; `L` may be 0. A leaf that a method adds
        may be `[1, ...]`: all layers then share it.
      x: activations `[B, T, D]`.
      first: the number of the first layer, counted over all sections.
      inputs: a tree of arrays `[L, ...]`; each layer gets its slice.

    Returns:
      The activations after the last layer, and the layers' outputs stacked `[L, ...]`.
    """
    layers = depth(stack)
    numbers = jnp.arange(first, first + layers, dtype=jnp.uint32)
    # On a GPU, a loop costs about 8 µs per iteration and prevents XLA's command buffers.
    unroll = max(1, layers) if target_platform() == "gpu" else 1

    stacked, shared = _split(stack, layers)

    def run(carry: Activations, each: Any) -> tuple[Activations, Any]:
        return layer(_join(each[0], shared), carry, *each[1:])

    return jax.lax.scan(
        # In a scan nothing is merged across the barrier that `prevent_cse` would put there.
        jax.checkpoint(run, prevent_cse=unroll > 1) if _REMATERIALIZED.get() else run,
        x,
        (stacked, numbers, inputs),
        unroll=unroll,
    )


def _split(stack: Params, layers: int) -> tuple[Params, Params]:
    """Return the leaves stacked by layer, and those that layers share; None for the others."""

    def is_shared(leaf: Array) -> bool:
        return leaf.shape[0] == 1 != layers

    stacked = jax.tree.map(lambda leaf: None if is_shared(leaf) else leaf, stack)
    return stacked, jax.tree.map(lambda leaf: leaf[0] if is_shared(leaf) else None, stack)


def _join(stacked: Params, shared: Params) -> Params:
    """Return one layer's tree; the inverse of `_split`."""
    return jax.tree.map(
        lambda leaf, other: other if leaf is None else leaf,
        stacked,
        shared,
        is_leaf=lambda leaf: leaf is None,
    )
