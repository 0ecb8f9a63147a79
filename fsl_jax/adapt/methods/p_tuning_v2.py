"""P-tuning v2: a prefix in every layer, trained directly.

Liu et al., 2022, "P-Tuning v2: Prompt Tuning Can Be Comparable to Fine-tuning Universally Across
Scales and Tasks", https://arxiv.org/abs/2110.07602.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from fsl_jax.adapt.methods.method import SIZE, Method
from fsl_jax.adapt.parts.learned_prefix import (
    PREFIX,
    PREFIX_FROZEN,
    prefix_shapes,
    with_mask,
    with_prefix,
)
from fsl_jax.adapt.tree import Params, key_of
from fsl_jax.ranges import in_range

_DEVIATION = 0.02
"""The standard deviation of the initial values, the same as for BERT's weights."""


@dataclasses.dataclass(frozen=True)
class PTuningV2(Method):
    """Trains `layers/attention/prefix_key` and `prefix_value`, `[L, P, W]`, in every layer.

    It is prefix tuning without the network, which the paper finds to help on some tasks and to hurt
    on others. Prefixes of different lengths share a program. Positions of tokens are shifted by P,
    so the longest text is P tokens shorter, and the prefix slides out of attention windows as
    tokens do. An encoder-decoder has the prefix in its decoder, as
    `decoder/layers/attention/prefix_key`.

    The paper finds fewer than 20 vectors best for simple classification and about 100 for tagging.

    Attributes:
      length: P, the number of vectors in each layer.
    """

    length: int = in_range(20, SIZE)
    name: ClassVar[str] = "p_tuning_v2"
    paper: ClassVar[str] = "Liu et al. 2022, https://arxiv.org/abs/2110.07602"
    learning_rates: ClassVar[tuple[float, ...]] = (1e-3, 5e-3, 1e-2)
    rules: ClassVar[tuple[str, ...]] = (PREFIX,)
    frozen_rules: ClassVar[tuple[str, ...]] = (PREFIX_FROZEN,)

    @property
    def positions(self) -> int:
        """The number of the model's positions that the prefix takes."""
        return self.length

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add `prefix_key`, `prefix_value` and a `prefix_mask [L, P]` of ones."""
        shapes = prefix_shapes(params, self.name)

        def draw(name: str, stack: str) -> jax.Array:
            layers, width = shapes[stack]
            leaf_key = key_of(key, f"{stack}/attention/prefix_{name}")
            return _DEVIATION * jax.random.normal(
                leaf_key, (layers, self.length, width), jnp.float32
            )

        prefix = {stack: (draw("key", stack), draw("value", stack)) for stack in shapes}
        return with_prefix(with_mask(params, shapes, self.length), prefix)
