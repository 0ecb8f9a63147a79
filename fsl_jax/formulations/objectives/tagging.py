"""The objective of tagging: a tag for each word."""

import dataclasses
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.formulations.objectives.entities import (
    NO_WORD,
    OUTSIDE,
    TagTable,
    count_entities,
)
from fsl_jax.formulations.objectives.objective import Losses
from fsl_jax.formulations.objectives.ratios import f1


class WordLogits(NamedTuple):
    """The logits of the words of each example.

    Attributes:
      logits: the logits of the tags of each word, `[B, W, C]`.
      is_read: True for the words that the model has read, `[B, W]`; False for one that has no
        token, or that was cut off, and where there is no word.
    """

    logits: Float[Array, "B W C"]
    is_read: Bool[Array, "B W"]


@dataclasses.dataclass(frozen=True)
class TaggingObjective:
    """Compares the logits of words with their tags, int32 `[B, W]`, -1 where there is no word.

    A word that was not read has no loss, and is tagged `O`: an entity in it is missed.

    Attributes:
      tags: the C tags of IOB2, in the order of the logits.
    """

    tags: tuple[str, ...]
    measure_name: ClassVar[str] = "entity_f1"

    def __post_init__(self):
        TagTable(self.tags)

    def predictions(self, outputs: WordLogits) -> Int[Array, "B W"]:
        """Return the index of the largest logit of each word; that of `O` if it was not read."""
        largest = jnp.argmax(outputs.logits, axis=-1).astype(jnp.int32)
        return jnp.where(outputs.is_read, largest, self.tags.index(OUTSIDE))

    def losses(self, outputs: WordLogits, targets: Int[Array, "B W"]) -> Losses:
        """Compute cross-entropies, each of which counts; see `Objective`."""
        counts = outputs.is_read & (targets != NO_WORD)
        logits = jnp.where(counts[..., None], outputs.logits, 0.0)
        labels = jnp.maximum(targets, 0)
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
        sums = jnp.sum(jnp.where(counts, losses, 0.0), axis=1)
        return Losses(sums, jnp.sum(counts, axis=1, dtype=jnp.float32))

    def statistics(self, outputs: WordLogits, targets: Int[Array, "B W"]) -> Float[Array, "B 3"]:
        """Count predicted, gold and correct entities, by the strict rule."""
        table = TagTable(self.tags)
        predicted = jnp.where(targets == NO_WORD, NO_WORD, self.predictions(outputs))
        return count_entities(table.entities(predicted), table.entities(targets))

    def measure(self, sums: Float[Array, "3"]) -> Float[Array, ""]:
        """Compute the F1 of entities; 0 where there are none."""
        return f1(*sums)
