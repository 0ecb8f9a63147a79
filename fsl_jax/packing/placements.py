"""The places of the examples of a step in its packed rows."""

import dataclasses
from typing import Any

from flax import struct


@dataclasses.dataclass(frozen=True)
class RowShape:
    """The shape of the packed rows of a step, which all steps of a program share.

    Attributes:
      rows: R, the number of rows.
      length: T, the number of tokens of a row.
      slots: K, the largest number of segments in a row.
    """

    rows: int
    length: int
    slots: int

    @property
    def tokens(self) -> int:
        """The number of tokens that a step computes, padding included."""
        return self.rows * self.length


# The fields below are leaves of pytrees, which may get more axes, so annotations cannot be checked
# as shapes.


@struct.dataclass
class Placements:
    """The examples of one or more steps, and their places in packed rows.

    A leading axis counts steps, chunks or runs. Each of B examples has W segments, in all S.

    Attributes:
      examples: the number of each example in the pool, int32 `[..., B]`.
      starts: the place of each segment's first token, int32 `[..., S]`. Places are counted over all
        rows: that of column `t` of row `r` is `r * T + t`. A segment never goes on in the next row.
      weight: float32 `[..., B]`, 1 for an example that counts, and 0 for one that only fills up the
        batch; it has no tokens in the rows.
      shape: the shape of the rows.
    """

    examples: Any
    starts: Any
    weight: Any
    shape: RowShape = struct.field(pytree_node=False)

    def at(self, index: Any) -> "Placements":
        """Return the placements at an index of the leading axis."""
        return Placements(self.examples[index], self.starts[index], self.weight[index], self.shape)
