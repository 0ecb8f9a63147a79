"""Kinds of leaves that a method's `reparametrize` reads, and the model does not."""

import dataclasses

REPARAMETRIZE_FIRST = "apply the method's `reparametrize` first"


@dataclasses.dataclass(frozen=True)
class IntermediateLeaf:
    """A kind of leaf out of which `reparametrize` makes others, which the model reads.

    Attributes:
      pattern: a regular expression, searched for in the path.
      neutral: the value from which `reparametrize` makes what changes nothing. A row of a batch
        gets it if it has no adapter.
      made: the name of an added leaf that `reparametrize` puts into the same layer, for a kind that
        stays in the tree: once that leaf is there, this one is passed over. Empty for a kind that
        `reparametrize` removes.
      reason: a sentence for users that says why it cannot be merged as long as it is in the tree
        alone.
    """

    pattern: str
    neutral: float
    made: str = ""
    reason: str = REPARAMETRIZE_FIRST
