"""The settings that all runs of a program share."""

import dataclasses
import math

import jax

from fsl_jax.errors import problems_error


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """What is the same for all runs of a program.

    Attributes:
      steps: optimiser steps.
      batch_size: examples in a step.
      evaluate_every: steps between two validations; the last step is always validated.
      warmup: share of the steps over which the learning rate rises.
      clip_norm: gradients are scaled down to this global norm.
      patience: a run ends after this many validations without a better one; 0 lets all steps run.
      dropout: rate inside the model.
      evaluation_batch: examples that validation reads at a time.
      longest_dispatch: the most steps that one dispatch may take.
      rematerialize: whether layers are computed again for their gradient, to save memory.
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
        wrong = [f"{name} = {getattr(self, name)}" for name, fits in limits.items() if not fits]
        if wrong:
            raise problems_error("training settings out of range:", wrong)

    @property
    def steps_per_dispatch(self) -> int:
        """The largest number of steps, within the limit, that ends where validations fall."""
        common = math.gcd(self.steps, self.evaluate_every)
        return max(
            d for d in range(1, common + 1) if common % d == 0 and d <= self.longest_dispatch
        )

    @property
    def evaluations(self) -> int:
        """How many validations a run has that is not stopped."""
        return math.ceil(self.steps / self.evaluate_every)


def longest_dispatch() -> int:
    """Steps in a dispatch that suit this platform.

    A dispatch costs an accelerator more than a small step does, so there it takes many; on a CPU a
    step is long and a dispatch free, and a step apiece shows progress and stops soonest.
    """
    return 1 if jax.default_backend() == "cpu" else 1_000
