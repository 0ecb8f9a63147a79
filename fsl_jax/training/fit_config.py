"""The config that all runs of a program share."""

import dataclasses
import math

import jax

from fsl_jax.errors import problems_error


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """The config that all runs of a program share.

    Attributes:
      steps: the number of optimiser steps.
      batch_size: the number of examples in a step.
      evaluate_every: the steps between two validations. Validation also follows the last step.
      warmup: the share of the steps over which the learning rate rises.
      clip_norm: gradients are scaled down to this global norm.
      patience: a run ends after this many validations without improvement; with 0 it takes all
        steps.
      dropout: the dropout rate inside the model.
      evaluation_batch: the number of examples that validation reads at a time.
      longest_dispatch: the largest number of steps that one dispatch may take.
      rematerialize: True computes layers again for their gradient, to save memory.
    """

    steps: int
    batch_size: int
    evaluate_every: int = 10
    warmup: float = 0.1
    clip_norm: float = 1.0
    patience: int = 0
    dropout: float = 0.0
    evaluation_batch: int = 32
    longest_dispatch: int = 1_000
    rematerialize: bool = False

    def __post_init__(self):
        limits = {
            "steps": self.steps >= 1,
            "batch_size": self.batch_size >= 1,
            "evaluate_every": self.evaluate_every >= 1,
            "warmup": 0 <= self.warmup < 1,
            "clip_norm": self.clip_norm > 0,
            "patience": self.patience >= 0,
            "dropout": 0 <= self.dropout < 1,
        }
        problems = [f"{name} = {getattr(self, name)}" for name, fits in limits.items() if not fits]
        if problems:
            raise problems_error("training settings out of range:", problems)

    @property
    def steps_per_dispatch(self) -> int:
        """The most steps, within the limit, so that validations fall at the end of dispatches."""
        common = math.gcd(self.steps, self.evaluate_every)
        divisors = [number for number in range(1, common + 1) if common % number == 0]
        return max(divisor for divisor in divisors if divisor <= self.longest_dispatch)

    @property
    def evaluations(self) -> int:
        """The number of validations of a run that is not stopped early."""
        return math.ceil(self.steps / self.evaluate_every)


def longest_dispatch() -> int:
    """Return the largest number of steps in a dispatch for this platform.

    On an accelerator a dispatch takes longer than a small step, so it takes many steps. On a CPU a
    dispatch costs nothing beside a step, so it takes one: that shows progress and stops soonest.
    """
    return 1 if jax.default_backend() == "cpu" else 1_000
