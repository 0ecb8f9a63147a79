"""Prefix tuning: learned keys and values before those of the tokens in every layer.

Li and Liang, 2021, "Prefix-Tuning: Optimizing Continuous Prompts for Generation",
https://arxiv.org/abs/2101.00190.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from fsl_jax.adapt.methods.method import ONLY_TRAINS, SIZE, Method
from fsl_jax.adapt.parts.learned_prefix import (
    PREFIX_FROZEN,
    Pair,
    prefix_shapes,
    with_mask,
    with_prefix,
)
from fsl_jax.adapt.parts.linear import draw_linear, linear
from fsl_jax.adapt.tree import Params, key_of
from fsl_jax.models.blocks.added_leaves import PREFIX_REASON
from fsl_jax.models.blocks.intermediate_leaves import IntermediateLeaf
from fsl_jax.ranges import in_range

ENCODER = "prefix_encoder"


@dataclasses.dataclass(frozen=True)
class PrefixTuning(Method):
    """Trains a small network that computes the prefix, and keeps the prefix.

    The network is the paper's: P vectors (`prefix_encoder/embedding [P, W]`), a hidden layer with
    tanh (`prefix_encoder/hidden`, of width `hidden`), and one linear layer to the keys and values
    of each stack of layers (`prefix_encoder/layers`, to `[L, 2, W]`). W is the width of a layer's
    keys. After training the network is dropped, and `layers/attention/prefix_key` and
    `prefix_value`, `[L, P, W]`, are kept. Prefixes of different lengths, computed by networks of
    different widths, share a program. Positions of tokens are shifted by P, so the longest text is
    P tokens shorter, and the prefix slides out of attention windows as tokens do. An
    encoder-decoder has the prefix in its decoder, as `decoder/layers/attention/prefix_key`; the
    paper's BART has one in its encoder too.

    For short outputs the paper uses a length of 10 and a learning rate of 5e-5, over many more
    steps than a few examples allow. So the default learning rates include 10 and 100 times that
    rate.

    Attributes:
      length: P, the number of vectors in each layer.
      hidden: the width of the network.
    """

    length: int = in_range(10, SIZE)
    hidden: int = in_range(512, SIZE, **ONLY_TRAINS)
    name: ClassVar[str] = "prefix_tuning"
    paper: ClassVar[str] = "Li and Liang 2021, https://arxiv.org/abs/2101.00190"
    learning_rates: ClassVar[tuple[float, ...]] = (5e-5, 5e-4, 5e-3)
    rules: ClassVar[tuple[str, ...]] = (f"^{ENCODER}/",)
    frozen_rules: ClassVar[tuple[str, ...]] = (PREFIX_FROZEN,)
    intermediate_leaves: ClassVar[tuple[IntermediateLeaf, ...]] = (
        IntermediateLeaf(f"^{ENCODER}/", neutral=0.0, reason=PREFIX_REASON),
    )

    @property
    def positions(self) -> int:
        """The number of the model's positions that the prefix takes."""
        return self.length

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add `prefix_encoder`, and add a `prefix_mask [L, P]` of ones to every attention."""
        shapes = prefix_shapes(params, self.name)
        width = next(iter(shapes.values()))[1]
        path = f"{ENCODER}/embedding"
        drawn = jax.random.normal(key_of(key, path), (self.length, width), jnp.float32)
        encoder = {
            "embedding": drawn,
            "hidden": draw_linear(key, f"{ENCODER}/hidden", (width,), (self.hidden,)),
        }
        for stack, (layers, _) in shapes.items():
            outputs = (layers, 2, width)
            encoder[stack] = draw_linear(key, f"{ENCODER}/{stack}", (self.hidden,), outputs)
        return with_mask(params, shapes, self.length) | {ENCODER: encoder}

    def reparametrize(self, params: Params) -> Params:
        """Replace the network with the prefix that it computes."""
        if ENCODER not in params:
            return params
        rest = {name: each for name, each in params.items() if name != ENCODER}
        return with_prefix(rest, _encode(params[ENCODER]))

    def finish(self, leaves: Params) -> Params:
        """Return the prefix without the network."""
        return self.reparametrize(leaves)


def _encode(encoder: Params) -> dict[str, Pair]:
    """Return the keys and values of each stack of layers."""
    hidden = jnp.tanh(linear(encoder["hidden"], encoder["embedding"]))
    prefix = {}
    for stack in sorted(encoder.keys() - {"embedding", "hidden"}):
        states = linear(encoder[stack], hidden)
        keys, values = jnp.moveaxis(states, (1, 2), (1, 0))
        prefix[stack] = (keys, values)
    return prefix
