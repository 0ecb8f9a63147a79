"""The training config that all runs of a program share."""

import dataclasses
import math

from fsl_jax.ranges import MAX_INT32, in_range, real, require_in_range, whole


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
      longest_dispatch: the largest number of steps that one dispatch may take.
      rematerialize: True computes layers again for their gradient, to save memory.

    Raises:
      InputError: numbers are out of range; the error names all of them.
    """

    steps: int = in_range(dataclasses.MISSING, whole(1, MAX_INT32))
    batch_size: int = in_range(dataclasses.MISSING, whole(1, MAX_INT32))
    evaluate_every: int = in_range(10, whole(1))
    warmup: float = in_range(0.1, real(0, below=1, on_host=True))
    clip_norm: float = in_range(1.0, real(above=0))
    patience: int = in_range(0, whole(0, MAX_INT32))
    dropout: float = in_range(0.0, real(0, below=1))
    longest_dispatch: int = in_range(1_000, whole(1))
    rematerialize: bool = False

    def __post_init__(self):
        require_in_range(self)

    @property
    def steps_per_dispatch(self) -> int:
        """The largest allowed number of steps such that a dispatch ends at each validation."""
        common = math.gcd(self.steps, self.evaluate_every)
        largest = min(common, self.longest_dispatch)
        return next(number for number in range(largest, 0, -1) if common % number == 0)

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
    # The flags of a study have the ranges above, and their help must not wait for JAX.
    import jax

    return 1 if jax.default_backend() == "cpu" else 1_000
