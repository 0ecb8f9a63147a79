"""Examples as tokens, before they are packed."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Tokenized:
    """The segments of E examples, of which each has at least one.

    Attributes:
      tokens: the token ids of each segment.
      truncated: the number of examples whose text was cut.
      counts: the number of segments of each example, in order, int32 `[E]`; by default one each.
      features: what a formulation needs to know of each segment, as arrays with a row for each.
      offsets: where answers are pieces of a text, the characters of each token of the text of each
        example, see `fsl_jax.formulations.offsets`; empty for other formulations.
    """

    tokens: Sequence[Sequence[int]]
    truncated: int
    counts: np.ndarray | None = None
    features: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    offsets: Sequence[np.ndarray] = ()

    @property
    def width(self) -> int:
        """The largest number of segments of an example."""
        return 1 if self.counts is None else int(self.counts.max(initial=1))

    @property
    def owners(self) -> np.ndarray:
        """The number of the example to which each segment belongs, int32."""
        if self.counts is None:
            return np.arange(len(self.tokens), dtype=np.int32)
        return np.repeat(np.arange(len(self.counts), dtype=np.int32), self.counts)

    @property
    def places(self) -> np.ndarray:
        """The number of each segment where all examples have `width` segments, int32."""
        owners = self.owners
        within = np.arange(len(owners), dtype=np.int32) - np.searchsorted(owners, owners)
        return owners * self.width + within.astype(np.int32)
