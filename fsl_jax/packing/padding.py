"""The share of padding in what packed rows compute."""

import dataclasses

import numpy as np
from jaxtyping import Int32

from fsl_jax.packing.placements import Placements


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


def padding(lengths: Int32[np.ndarray, " E"], *placements: Placements) -> Padding:
    """Count the tokens of placements.

    Args:
      lengths: the number of tokens of each example of the pool.
      placements: the places `[..., B]` of examples, on the host; shapes may differ.

    Returns:
      The tokens that are computed, and those that there are.
    """
    computed = sum(each.examples[..., 0].size * each.shape.tokens for each in placements)
    real = sum(int(lengths[each.examples[each.weight > 0]].sum()) for each in placements)
    return Padding(computed, real)
