"""Kinds of leaves that a method's `reparametrize` reads and the model does not."""

import dataclasses

REPARAMETRIZE_FIRST = "apply the method's `reparametrize` first"


@dataclasses.dataclass(frozen=True)
class IntermediateLeaf:
    """A kind of leaf from which `reparametrize` makes the leaves that the model reads.

    Attributes:
      pattern: a regular expression, searched for in the path.
      neutral: the value from which `reparametrize` makes leaves that change nothing. A row of a
        batch without an adapter gets this value.
      made: for a kind that stays in the tree, the name of the added leaf that `reparametrize` puts
        into the same layer. Once that leaf exists, this one is ignored. Empty for a kind that
        `reparametrize` removes.
      reason: a sentence for users that says why the leaf cannot be merged before `reparametrize`.
    """

    pattern: str
    neutral: float
    made: str = ""
    reason: str = REPARAMETRIZE_FIRST
