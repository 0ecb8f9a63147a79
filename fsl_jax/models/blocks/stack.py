"""Running a stack of layers: a scan over leaves that are stacked on a leading axis."""

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
    """What is traced in the block keeps no more of a layer for its gradient than what went in.

    The rest is computed again on the way back: a third more arithmetic, for memory that grows with
    one layer and not with all (Chen et al., 2016, https://arxiv.org/abs/1604.06174).

    Args:
      rematerialized: whether to do so.
    """
    token = _REMATERIALIZED.set(rematerialized)
    try:
        yield
    finally:
        _REMATERIALIZED.reset(token)


def depth(stack: Params) -> int:
    """How many layers a stack has, which may be none."""
    return jax.tree.leaves(stack)[0].shape[0]


def initialise_stack(key: Array, block: nn.Module, layers: int, *inputs: Any) -> Params:
    """Draws the leaves of `layers` blocks, stacked; `inputs` are a block's."""
    keys = jax.random.split(key, layers)
    return jax.vmap(lambda each: block.init(each, *inputs)["params"])(keys)


def run_stack(
    layer: Callable[[Params, Activations, UInt32[Array, ""], Any], tuple[Activations, Any]],
    stack: Params,
    x: Activations,
    first: int = 0,
    inputs: Any = None,
) -> tuple[Activations, Any]:
    """Runs the layers of a stack one after the other.

    Args:
      layer: `layer(params, x, number, inputs) -> (x, output)` of one layer.
      stack: leaves stacked on a leading axis `[L, ...]`; `L` may be 0. What a method adds may be
        `[1, ...]`, which all layers have in common.
      x: activations `[B, T, D]`.
      first: number of the first layer, counted over all sections.
      inputs: a tree of arrays `[L, ...]`, whose slices the layers get.

    Returns:
      The activations after the last layer, and the layers' outputs stacked `[L, ...]`.
    """
    layers = depth(stack)
    numbers = jnp.arange(first, first + layers, dtype=jnp.uint32)
    # A loop costs a GPU about 8 µs an iteration, and keeps XLA from recording its command buffers.
    unroll = max(1, layers) if target_platform() == "gpu" else 1

    own, common = _split(stack, layers)

    def run(carry: Activations, each: Any) -> tuple[Activations, Any]:
        return layer(_join(each[0], common), carry, *each[1:])

    return jax.lax.scan(
        # In a scan nothing is merged across the barrier that `prevent_cse` would put there.
        jax.checkpoint(run, prevent_cse=unroll > 1) if _REMATERIALIZED.get() else run,
        x,
        (own, numbers, inputs),
        unroll=unroll,
    )


def _split(stack: Params, layers: int) -> tuple[Params, Params]:
    """The leaves that each layer has its own of, and those in common; None elsewhere."""

    def is_common(leaf: Array) -> bool:
        return leaf.shape[0] == 1 != layers

    own = jax.tree.map(lambda leaf: None if is_common(leaf) else leaf, stack)
    return own, jax.tree.map(lambda leaf: leaf[0] if is_common(leaf) else None, stack)


def _join(own: Params, common: Params) -> Params:
    return jax.tree.map(
        lambda leaf, other: other if leaf is None else leaf,
        own,
        common,
        is_leaf=lambda leaf: leaf is None,
    )
