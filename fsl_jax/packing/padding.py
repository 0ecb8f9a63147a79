"""The share of padding in what packed rows compute."""

import dataclasses

import numpy as np
from jaxtyping import Int32

from fsl_jax.packing.placements import Placements, RowShape


@dataclasses.dataclass(frozen=True)
class Padding:
    """The tokens of all steps of some placements.

    Attributes:
      computed: the tokens that are computed, padding included.
      real: the tokens of examples.
    """

    computed: int
    real: int

    @property
    def share(self) -> float:
        """The share of padding in what is computed."""
        return 1 - self.real / self.computed if self.computed else 0.0


def padding(
    lengths: Int32[np.ndarray, " E"], *placements: Placements, slot_width: int = 0
) -> Padding:
    """Count the tokens of placements.

    Args:
      lengths: the number of tokens of each example of the pool, those in slots included.
      placements: the places `[..., B]` of examples, on the host; shapes may differ.
      slot_width: the number of tokens in each slot; 0 if there are none.

    Returns:
      The tokens that are computed, and those that there are.
    """
    computed = sum(
        each.examples[..., 0].size * step_tokens(each.shape, slot_width) for each in placements
    )
    real = sum(int(lengths[each.examples[each.weight > 0]].sum()) for each in placements)
    return Padding(computed, real)


def step_tokens(shape: RowShape, slot_width: int = 0) -> int:
    """Return the number of tokens that a step computes, padding and slots included.

    Args:
      shape: the shape of the rows.
      slot_width: the number of tokens of a slot; 0 if there are none.
    """
    return shape.tokens + shape.rows * shape.slots * slot_width
