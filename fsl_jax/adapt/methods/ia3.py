"""IA3: activations are scaled by learned vectors.

Liu et al., 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context
Learning", https://arxiv.org/abs/2205.05638.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.parts.patterns import require_pattern
from fsl_jax.adapt.parts.targets import target_layers
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class IA3(Method):
    """Multiplies outputs, bias included, and inputs of linear layers by vectors.

    The defaults follow the paper: the keys and values of every attention, and the activations
    between the two linear layers of the multilayer perceptron. All vectors are float32 and start at
    one, so the model starts out as the base model.

    Attributes:
      outputs: a regular expression for the layers whose output is scaled, searched for in the path
        of a kernel's parent, `layers/attention/key`; empty for none.
      inputs: the same for the layers whose input is scaled.
    """

    outputs: str = "attention/(key|value)$"
    inputs: str = "mlp/down$"
    name: ClassVar[str] = "ia3"
    learning_rates: ClassVar[tuple[float, ...]] = (3e-3, 1e-2, 3e-2)
    paper: ClassVar[str] = "Liu et al. 2022, https://arxiv.org/abs/2205.05638"
    rules: ClassVar[tuple[str, ...]] = ("/ia3(_in)?$",)

    def __post_init__(self):
        require_pattern("ia3's outputs", self.outputs)
        require_pattern("ia3's inputs", self.inputs)
        if not (self.outputs or self.inputs):
            raise InputError("ia3 has neither outputs nor inputs, so there is nothing to train")

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share."""
        return (self.outputs, self.inputs)

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add `ia3 [L, out]` to the layers of `outputs`, and `ia3_in [L, in]` to `inputs`."""
        leaves = flatten(params)
        added = {}
        if self.outputs:
            for layer in target_layers("ia3's outputs", self.outputs, leaves):
                *stack, _, width = leaves[f"{layer}/kernel"].shape
                added[f"{layer}/ia3"] = jnp.ones((*stack, width), jnp.float32)
        if self.inputs:
            for layer in target_layers("ia3's inputs", self.inputs, leaves):
                *stack, width, _ = leaves[f"{layer}/kernel"].shape
                added[f"{layer}/ia3_in"] = jnp.ones((*stack, width), jnp.float32)
        return unflatten(leaves | added)
