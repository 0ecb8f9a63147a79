"""The objective of written answers: the probability of their tokens."""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fsl_jax.formulations.objectives.objective import Losses
from fsl_jax.formulations.objectives.ratios import ratio


class AnswerLosses(NamedTuple):
    """The losses of the tokens of each answer.

    Attributes:
      sums: minus the log-probability of the answer, in nats, `[B]`.
      tokens: the number of its tokens, as float32 `[B]`.
    """

    sums: Float[Array, " B"]
    tokens: Float[Array, " B"]


def sum_by_example(
    losses: Float[Array, " A"], owner: Int[Array, " A"], examples: int
) -> AnswerLosses:
    """Add up the losses of the tokens of each answer.

    Args:
      losses: the losses of A tokens, from `token_losses`.
      owner: the number of the example that each token belongs to; -1 for none.
      examples: B.

    Returns:
      The sums.
    """
    places = jnp.where(owner < 0, examples, owner)
    counted = jnp.stack([losses, jnp.ones_like(losses)], axis=1)
    sums = jax.ops.segment_sum(counted, places, examples + 1)
    return AnswerLosses(sums[:examples, 0], sums[:examples, 1])


@dataclasses.dataclass(frozen=True)
class WrittenObjective:
    """Makes the tokens of answers probable.

    Outputs are `AnswerLosses`, in whose computation the answers have been read. Targets are None.
    """

    measure_name: ClassVar[str] = "token_probability"

    def losses(self, outputs: AnswerLosses, targets: None = None) -> Losses:
        """Return the losses of tokens, each of which counts; see `Objective`."""
        return Losses(outputs.sums, outputs.tokens)

    def statistics(self, outputs: AnswerLosses, targets: None = None) -> Float[Array, "B 2"]:
        """Return the log-probability of each answer, and the number of its tokens."""
        return jnp.stack([-outputs.sums, outputs.tokens], axis=1)

    def measure(self, sums: Float[Array, "2"]) -> Float[Array, ""]:
        """Compute the geometric mean of the probabilities of all tokens; 0 where there are none.

        It is 1 divided by the perplexity.
        """
        return jnp.where(sums[1] > 0, jnp.exp(ratio(sums[0], sums[1])), 0.0)
