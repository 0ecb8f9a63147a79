"""The protocol of formulations, which turn a classification task into tokens and class logits."""

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.batch import Batch


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
        """The largest number of tokens of an example, without those that `segments` adds."""
        ...

    def tokenize(self, examples: Sequence[Example]) -> tuple[list[list[int]], int]:
        """Return the token ids of each example, and the number of texts that were cut."""
        ...

    def segments(self, params: Params, tokens: Sequence[Sequence[int]]) -> list[list[int]]:
        """Return all tokens that the model reads of each example, for a pool.

        Args:
          params: the parameters, of which only shapes are read.
          tokens: the token ids of each example, from `tokenize`.

        Returns:
          The token ids with those of a soft prompt before them, and others that the formulation
          needs.
        """
        ...

    def slot_width(self, params: Params) -> int:
        """Return the number of tokens of a slot, which rows have for each example; 0 for none.

        Args:
          params: the parameters, of which only shapes are read.
        """
        ...

    def trunk(self, params: Params, batch: Batch) -> Float[Array, "R T D"]:
        """Compute the activations below `top_layers`, which a batch may have as `trunk`."""
        ...

    def logits(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "B C"]:
        """Compute the class logits of a batch, using the cached arrays in it."""
        ...
