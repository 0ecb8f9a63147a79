"""Entities in sequences of tags, found in a compiled program as metric libraries find them."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import brief, problems_error

OUTSIDE = "O"
NO_WORD = -1
"""The tag of a place where there is no word."""


class Entities(NamedTuple):
    """The entity that each word belongs to.

    Attributes:
      kind: the number of its type, -1 for none, `[B, W]`.
      first: the number of its first word, `[B, W]`; it means nothing where there is none.
      ends: True at its last word, `[B, W]`.
    """

    kind: Int[Array, "B W"]
    first: Int[Array, "B W"]
    ends: Bool[Array, "B W"]


@dataclasses.dataclass(frozen=True)
class TagTable:
    """The meaning of each tag of IOB2.

    Attributes:
      tags: the C tags: `O`, and `B-` or `I-` before the name of a type.
    """

    tags: tuple[str, ...]

    def __post_init__(self):
        if problems := _problems(self.tags):
            raise problems_error(
                f"these {len(self.tags)} tags are not those of IOB2, which are {OUTSIDE}, and B- "
                "or I- before the name of a type:",
                problems,
            )

    @property
    def kinds(self) -> np.ndarray:
        """The number of the type of each tag, -1 for `O`, int32 `[C]`."""
        names = sorted({tag[2:] for tag in self.tags if tag != OUTSIDE})
        return np.array([-1 if t == OUTSIDE else names.index(t[2:]) for t in self.tags], np.int32)

    @property
    def begins(self) -> np.ndarray:
        """True for each tag that begins an entity after any other tag, `[C]`."""
        return np.array([tag.startswith("B-") for tag in self.tags])

    def entities(self, tags: Int[Array, "B W"]) -> Entities:
        """Find the entities, also in ill-formed tags.

        As for nervaluate and seqeval, an entity begins at `B-`, and at an `I-` that follows `O` or
        another type.

        Args:
          tags: the tag of each word; `NO_WORD` where there is none.

        Returns:
          The entity of each word.
        """
        kind = jnp.where(tags == NO_WORD, -1, jnp.asarray(self.kinds)[tags])
        begins = jnp.asarray(self.begins)[tags] | (kind != _shifted(kind, 1, -1))
        begins &= kind >= 0
        place = jnp.arange(tags.shape[1], dtype=jnp.int32)[None]
        first = jax.lax.cummax(jnp.where(begins, place, -1), axis=1)
        goes_on = (_shifted(kind, -1, -1) == kind) & ~_shifted(begins, -1, True)
        return Entities(kind, first, (kind >= 0) & ~goes_on)


def count_entities(predicted: Entities, gold: Entities) -> Float[Array, "B 3"]:
    """Count entities by the strict rule: words and type must be the same.

    Args:
      predicted: the entities that a model predicts.
      gold: the correct ones.

    Returns:
      The numbers of predicted, gold and correct entities of each example.
    """
    same = (predicted.kind == gold.kind) & (predicted.first == gold.first)
    ends = [predicted.ends, gold.ends, predicted.ends & gold.ends & same]
    return jnp.stack([jnp.sum(each, axis=1, dtype=jnp.float32) for each in ends], axis=1)


def _shifted(values: Array, by: int, filler: int | bool) -> Array:
    """Move values to the right, or to the left for -1, and fill the place that is left."""
    moved = jnp.roll(values, by, axis=1)
    return moved.at[:, 0 if by > 0 else -1].set(filler)


def _problems(tags: Sequence[str]) -> list[str]:
    ill_formed = [
        tag for tag in tags if tag != OUTSIDE and not (tag[:2] in ("B-", "I-") and tag[2:])
    ]
    repeated = {tag for tag in tags if tags.count(tag) > 1}
    missing = [] if OUTSIDE in tags else [f"the tag {OUTSIDE} is missing"]
    return [
        *missing,
        *(f"{brief(tag)} is no tag" for tag in ill_formed),
        *(f"{brief(tag)} is there twice" for tag in sorted(repeated)),
    ]
