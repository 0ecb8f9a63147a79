"""The objective of regression: a number."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.errors import unknown_name
from fsl_jax.formulations.objectives.objective import Losses
from fsl_jax.formulations.objectives.ratios import ratio

MEASURES = ("pearson", "negative_rmse")

_ROUNDING = 1e-5
"""The part of a mean square that may be rounding error in float32; a smaller variance is none."""


@dataclasses.dataclass(frozen=True)
class RegressionObjective:
    """Compares numbers `[B]` with the correct ones `[B]`, by the squared error.

    Targets are best standardised: then the correlation, which is computed from sums of squares in
    float32, is as exact as it can be. The error has the units of the targets.

    Attributes:
      measure_name: one of `MEASURES`.
    """

    measure_name: str = "pearson"

    def __post_init__(self):
        if self.measure_name not in MEASURES:
            raise unknown_name("measure", self.measure_name, MEASURES)

    def predictions(self, outputs: Float[Array, " B"]) -> Float[Array, " B"]:
        """Return the outputs, which are the numbers."""
        return outputs

    def losses(self, outputs: Float[Array, " B"], targets: Float[Array, " B"]) -> Losses:
        """Compute squared errors; see `Objective`."""
        return Losses(jnp.square(outputs - targets), jnp.ones_like(outputs))

    def statistics(
        self, outputs: Float[Array, " B"], targets: Float[Array, " B"]
    ) -> Float[Array, "B 7"]:
        """Return 1, both numbers, their squares, their product and the squared error."""
        x, y = outputs, targets
        powers = [jnp.ones_like(x), x, y, x * x, y * y, x * y, jnp.square(x - y)]
        return jnp.stack(powers, axis=1)

    def measure(self, sums: Float[Array, "7"]) -> Float[Array, ""]:
        """Compute the correlation, 0 if one of both is constant; or minus the root of the error."""
        means = ratio(sums, jnp.full_like(sums, sums[0]))
        if self.measure_name == "negative_rmse":
            return -jnp.sqrt(means[6])
        _, x, y, x_squared, y_squared, product, _ = means
        spread = _variance(x, x_squared) * _variance(y, y_squared)
        return jnp.clip(ratio(product - x * y, jnp.sqrt(spread)), -1.0, 1.0)


def _variance(mean: Float[Array, ""], mean_square: Float[Array, ""]) -> Float[Array, ""]:
    variance = mean_square - jnp.square(mean)
    return jnp.where(variance > _ROUNDING * mean_square, variance, 0.0)
