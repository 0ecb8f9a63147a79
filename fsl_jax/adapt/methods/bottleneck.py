"""Adapters: small multilayer perceptrons with a bottleneck, beside or after the model's sublayers.

Houlsby et al., 2019, "Parameter-Efficient Transfer Learning for NLP". Pfeiffer et al., 2021,
"AdapterFusion: Non-Destructive Task Composition for Transfer Learning". He et al., 2022, "Towards a
Unified View of Parameter-Efficient Transfer Learning".
"""

import dataclasses
import math
import re
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fsl_jax.adapt.methods.method import SIZE, Method
from fsl_jax.adapt.parts.patterns import dense_layers
from fsl_jax.adapt.tree import Params, flatten, key_of, unflatten
from fsl_jax.errors import InputError, unknown_name
from fsl_jax.models.blocks.layers import BOTTLENECK_ACTIVATIONS
from fsl_jax.ranges import in_range, real

PLACEMENTS = {
    "houlsby": r"(attention/output|mlp/down)$",
    "pfeiffer": r"mlp/down$",
    "parallel": r"mlp/down$",
}
"""The linear layers whose output an adapter changes, by placement."""

PAPERS = {
    "houlsby": "Houlsby et al. 2019, https://arxiv.org/abs/1902.00751",
    "pfeiffer": "Pfeiffer et al. 2021, https://aclanthology.org/2021.eacl-main.39",
    "parallel": "He et al. 2022, https://arxiv.org/abs/2110.04366",
}


@dataclasses.dataclass(frozen=True)
class BottleneckAdapter(Method):
    """Adds `activation(z @ down + down_bias) @ up + up_bias`, times a scale.

    `up` and `up_bias` start at zero, so the model starts out as the base model. All leaves are
    float32. Runs of different sizes share a program: the leaves of each run are drawn at its own
    size and padded with zeros, which stay zero.

    Attributes:
      placement: where the adapter reads `z` and adds its output. "houlsby" reads the output of each
        attention and of each multilayer perceptron and adds to it, before the residual connection.
        "pfeiffer" does the same after the multilayer perceptron only. "parallel" adds there too,
        but reads the input of the multilayer perceptron. Houlsby et al. train the norms as well:
        join `ln_tuning` for this. On BERT, AdapterHub's Pfeiffer adapters differ: they read the
        normalised sum with the residual.
      size: R, the width of the bottleneck.
      activation: one of `BOTTLENECK_ACTIVATIONS`; each maps zero to zero.
      scale: the factor of the output; He et al. use 4 for "parallel".
    """

    placement: str = "pfeiffer"
    size: int = in_range(64, SIZE)
    activation: str = "relu"
    scale: float = in_range(1.0, real(above=0))
    name: ClassVar[str] = "adapter"
    learning_rates: ClassVar[tuple[float, ...]] = (3e-4, 1e-3, 3e-3)
    rules: ClassVar[tuple[str, ...]] = ("/adapter/[a-z_]+/(down|up)(_bias)?$",)
    frozen_rules: ClassVar[tuple[str, ...]] = ("/adapter/[a-z_]+/scale$",)

    def __post_init__(self):
        super().__post_init__()
        if self.placement not in PLACEMENTS:
            raise unknown_name("placement of adapters", self.placement, PLACEMENTS)
        if self.activation not in BOTTLENECK_ACTIVATIONS:
            raise unknown_name("activation of adapters", self.activation, BOTTLENECK_ACTIVATIONS)

    @property
    def paper(self) -> str:  # type: ignore[override]
        """The paper of the placement."""
        return PAPERS[self.placement]

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share."""
        return (self.placement, self.activation)

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add the leaves of an adapter beside each layer whose output it changes.

        They are `down [L, D, R]`, `down_bias [L, R]`, `up [L, R, D]`, `up_bias [L, D]` and
        `scale [L]` at paths such as `layers/mlp/adapter/parallel_relu/down`.
        """
        leaves = flatten(params)
        pattern = PLACEMENTS[self.placement]
        chosen = [layer for layer in dense_layers(leaves) if re.search(pattern, layer)]
        if not chosen:
            raise InputError("adapter found no multilayer perceptron to adapt in this model")
        for layer in chosen:
            parent, kernel = layer.rpartition("/")[0], leaves[f"{layer}/kernel"]
            leaves |= self._leaves(f"{parent}/adapter/{self._group}", kernel.shape, key)
        return unflatten(leaves)

    @property
    def _group(self) -> str:
        """The name of the group of leaves, made of the input and the activation."""
        order = "parallel" if self.placement == "parallel" else "sequential"
        return f"{order}_{self.activation}"

    def _leaves(self, group: str, kernel: tuple[int, ...], key: jax.Array) -> Params:
        *stack, _, width = kernel
        bound = 1 / math.sqrt(width)
        down = jax.random.uniform(
            key_of(key, f"{group}/down"), (*stack, width, self.size), jnp.float32, -bound, bound
        )
        return {
            f"{group}/down": down,
            f"{group}/down_bias": jnp.zeros((*stack, self.size), jnp.float32),
            f"{group}/up": jnp.zeros((*stack, self.size, width), jnp.float32),
            f"{group}/up_bias": jnp.zeros((*stack, width), jnp.float32),
            f"{group}/scale": jnp.full(stack, self.scale, jnp.float32),
        }
