"""The formulation `marker_head`: a linear layer on the hidden states of two marked entities.

Baldini Soares et al. 2019, "Matching the Blanks: Distributional Similarity for Relation Learning",
https://arxiv.org/abs/1906.03158.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Int32

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.formulations.heads.place_head import PLACES, PlaceHead
from fsl_jax.formulations.labels import label_indices, most_probable
from fsl_jax.formulations.markers import tokenize_marked
from fsl_jax.formulations.objectives.classification import ClassificationObjective
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.packing.batch import Batch


@dataclasses.dataclass(frozen=True, eq=False)
class MarkerHead(PlaceHead):
    """Classifies the relation of two entities, whose marks the task `relation` writes in the text.

    The linear layer reads the hidden states of both marks, one after the other: that before the
    head and that before the tail. A decoder's are those after them, which have seen the entities.

    Attributes:
      pretrained: the model.
      labels: the C relations.
      max_length: as in `TextHead`.
      reserved_positions: as in `TextHead`.
    """

    labels: tuple[str, ...]
    name: ClassVar[str] = "marker_head"

    @property
    def outputs_size(self) -> int:
        """C, the number of relations."""
        return len(self.labels)

    @property
    def states_read(self) -> int:
        """2, those of the head and of the tail."""
        return 2

    @property
    def objective(self) -> ClassificationObjective:
        """The cross-entropy of the logits of relations."""
        return ClassificationObjective()

    def tokenize(self, examples: Sequence[Example], *, answered: bool = False) -> Tokenized:
        """Tokenise texts; cut those longer than the limit around their entities, and count them.

        Args:
          examples: E examples of the task `relation`.
          answered: not used, since answers are no tokens.

        Returns:
          A segment for each text, with the places of its marks.

        Raises:
          InputError: entities are not marked, the limit leaves no room for them, or a text has a
            token that the model does not embed.
        """
        found = tokenize_marked(self.pretrained.tokenizer, examples, self.limit)
        tokens = [each.ids for each in found]
        self.require_rows((example.text for example in examples), tokens)
        end = int(self.pretrained.config.is_decoder)
        places = np.array([(each.head[end], each.tail[end]) for each in found], np.int32)
        return Tokenized(tokens, sum(each.is_cut for each in found), features={PLACES: places})

    def targets(self, examples: Sequence[Example], tokenized: Tokenized) -> Int32[np.ndarray, " E"]:
        """Return the index of each example's relation."""
        return label_indices(examples, self.labels)

    def representation(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "S DD"]:
        """Compute the hidden states of both marks in float32, one after the other."""
        states = super().representation(params, batch, dropout=dropout, key=key)
        return states.reshape(len(states), -1)

    def decode(
        self, outputs: Float32[np.ndarray, "E C"], examples: Sequence[Example], tokenized: Tokenized
    ) -> list[str]:
        """Return the most probable relation of each example."""
        return most_probable(outputs, self.labels)
