"""A summary of the leaves that a method trains: paths, shapes, counts, and their share."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from fsl_jax.adapt.tree import Params, flatten


@dataclasses.dataclass(frozen=True)
class Summary:
    """The trained leaves of a model.

    Attributes:
      trained: the shape of each trained leaf, by path.
      trainable_parameters: the number of trained parameters.
      total_parameters: the number of all parameters, added ones included.
    """

    trained: dict[str, tuple[int, ...]]
    trainable_parameters: int
    total_parameters: int

    @property
    def share(self) -> float:
        """The trained share of all parameters, from 0 to 1."""
        return self.trainable_parameters / self.total_parameters

    def __str__(self) -> str:
        width = max(map(len, self.trained), default=0)
        lines = [
            f"{path:<{width}}  {list(shape)!s:<18} {math.prod(shape):>12,}"
            for path, shape in self.trained.items()
        ]
        total = (
            f"trained: {self.trainable_parameters:,} of {self.total_parameters:,} parameters "
            f"({self.share:.3%})"
        )
        return "\n".join([*lines, total])


def count_parameters(shapes: Mapping[str, Sequence[int]]) -> int:
    """Count the elements of leaves of these shapes."""
    return sum(math.prod(shape) for shape in shapes.values())


def summarise(params: Params, mask: Params) -> Summary:
    """Summarise the leaves that a mask trains.

    Args:
      params: the parameter tree; shapes are enough.
      mask: a tree of booleans of the same structure, True where a leaf is trained.

    Returns:
      The summary, which prints as a table.
    """
    leaves, chosen = flatten(params), flatten(mask)
    shapes = {path: tuple(leaf.shape) for path, leaf in leaves.items()}
    trained = {path: shape for path, shape in shapes.items() if chosen[path]}
    return Summary(trained, count_parameters(trained), count_parameters(shapes))
