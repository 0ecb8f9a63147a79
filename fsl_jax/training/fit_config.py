"""The training config that all runs of a program share."""

import dataclasses
import math

import jax

from fsl_jax.errors import problems_error


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """The training config that all runs of a program share.

    Attributes:
      steps: the number of optimiser steps.
      batch_size: the number of examples in a step.
      evaluate_every: the number of steps between two validations. The last step is followed by a
        validation too.
      warmup: the share of the steps during which the learning rate rises.
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
        """The largest allowed number of steps such that a dispatch ends at each validation."""
        common = math.gcd(self.steps, self.evaluate_every)
        divisors = [number for number in range(1, common + 1) if common % number == 0]
        return max(divisor for divisor in divisors if divisor <= self.longest_dispatch)

    @property
    def evaluations(self) -> int:
        """The number of validations of a run that is not stopped early."""
        return math.ceil(self.steps / self.evaluate_every)


def longest_dispatch() -> int:
    """Return the largest number of steps in a dispatch for this platform.

    On an accelerator, the overhead of a dispatch is larger than a small step, so one dispatch takes
    many steps. On a CPU the overhead is negligible, so a dispatch takes one step: progress is
    shown, and the program can stop, after each step.
    """
    return 1 if jax.default_backend() == "cpu" else 1_000
