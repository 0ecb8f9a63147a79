"""What a formulation is: how a task becomes tokens and class logits."""

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.models.pretrained import Pretrained

Batch = dict[str, jax.Array]
"""Arrays of examples by name, each with the examples on its first axis.

These are `input_ids` int32 `[B, T]`, `attention_mask` bool `[B, T]` and `label` int32 `[B]`, and
what was computed once and kept: `representation` `[B, D]`, below a head; `trunk` `[B, T, D]`, below
`top_layers`; or `keys` and `values` `[B, L, T, H_kv, Dh]` with `seen` `[B, T]`, of a text that a
suffix follows.
"""


@runtime_checkable
class Formulation(Protocol):
    """How a classification task becomes tokens and class logits.

    Attributes:
      name: the word for it in flags and results.
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
        """The parameters with what the formulation adds to the model's own, such as a head."""
        ...

    @property
    def limit(self) -> int:
        """How many tokens an example may take."""
        ...

    def tokenize(self, examples: Sequence[Example]) -> tuple[list[list[int]], int]:
        """Token ids of each example, and how many texts were too long and were cut."""
        ...

    def trunk(self, params: Params, batch: Batch) -> Float[Array, "B T D"]:
        """The activations below `top_layers`; they may stand in a batch as `trunk`."""
        ...

    def logits(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "B C"]:
        """The class logits of a batch, in which what is kept stands for what it was computed of."""
        ...
