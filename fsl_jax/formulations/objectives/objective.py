"""The protocol of objectives, which say what the outputs of a model mean."""

from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from jaxtyping import Array, Float

Outputs = TypeVar("Outputs", contravariant=True)
Targets = TypeVar("Targets", contravariant=True)


class Losses(NamedTuple):
    """The losses of the examples of a batch.

    The loss of a batch is `sum(weight * sums) / sum(weight * counts)`, where an example that fills
    up a batch has the weight 0.

    Attributes:
      sums: the sum of the losses of each example, `[B]`.
      counts: the number of losses in each sum, as float32 `[B]`.
    """

    sums: Float[Array, " B"]
    counts: Float[Array, " B"]


@runtime_checkable
class Objective(Protocol[Outputs, Targets]):
    """Gives a loss and a measure to the outputs of a model, inside a compiled program.

    An objective has no state and no parameters, and can be hashed. Each one says what its outputs
    and targets are: arrays or tuples of arrays, with an axis of B examples in front. Where outputs
    choose an answer, it has `predictions(outputs)` too.

    Attributes:
      measure_name: the name of the number that `measure` computes.
    """

    @property
    def measure_name(self) -> str:
        """See the class."""
        ...

    def losses(self, outputs: Outputs, targets: Targets) -> Losses:
        """Compute the loss of each example, which gradients are taken of.

        Args:
          outputs: the outputs of a model for B examples.
          targets: the correct answers.

        Returns:
          Sums and counts. Gradients are finite for every example, those that fill up a batch
          included.
        """
        ...

    def statistics(self, outputs: Outputs, targets: Targets) -> Float[Array, "B S"]:
        """Compute S numbers of each example whose sums over examples give the measure.

        Args:
          outputs: the outputs of a model for B examples.
          targets: the correct answers.

        Returns:
          The numbers.
        """
        ...

    def measure(self, sums: Float[Array, " S"]) -> Float[Array, ""]:
        """Compute the measure by which parameters are chosen.

        Args:
          sums: the sums of the statistics over examples, all 0 for no example.

        Returns:
          A finite number; more is better.
        """
        ...
