"""The protocol of formulations, which turn a classification task into tokens and class logits."""

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.models.pretrained import Pretrained

Batch = dict[str, jax.Array]
"""Arrays of examples by name, each with the examples on its first axis.

These are `input_ids` int32 `[B, T]`, `attention_mask` bool `[B, T]` and `label` int32 `[B]`. A
batch may also have arrays that were computed once and cached: `representation` `[B, D]`, the input
of a head; `trunk` `[B, T, D]`, the input of `top_layers`; or `keys` and `values`
`[B, L, T, H_kv, Dh]` with `seen` `[B, T]`, the keys and values of a text before a suffix.
"""


@runtime_checkable
class Formulation(Protocol):
    """Turns a classification task into tokens and class logits.

    Attributes:
      name: its name in flags and results.
      pretrained: the model that reads the tokens.
      labels: the classes, in the order of the logits.
    """

    name: ClassVar[str]

    @property
    def pretrained(self) -> Pretrained:
        """See the class."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """See the class."""
        ...

    def prepare(self, params: Params, key: jax.Array) -> Params:
        """Add the parameters of the formulation, such as a head, to those of the model."""
        ...

    @property
    def limit(self) -> int:
        """The largest number of tokens of an example."""
        ...

    def tokenize(self, examples: Sequence[Example]) -> tuple[list[list[int]], int]:
        """Return the token ids of each example, and the number of texts that were cut."""
        ...

    def trunk(self, params: Params, batch: Batch) -> Float[Array, "B T D"]:
        """Compute the activations below `top_layers`, which a batch may have as `trunk`."""
        ...

    def logits(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "B C"]:
        """Compute the class logits of a batch, using the cached arrays in it."""
        ...
