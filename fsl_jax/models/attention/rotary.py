"""Rotary embedding (https://arxiv.org/abs/2104.09864), and its scaling to longer texts."""

import dataclasses
import math
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

Tables = tuple[Float[Array, "B T half"], Float[Array, "B T half"]]
# Compute frequencies and periods in float32 NumPy, with the same steps as transformers: at position
# 100,000 the last bit of a frequency turns a pair by half a degree.
Numbers = Float32[np.ndarray, "half"]


@dataclasses.dataclass(frozen=True)
class LinearScaling:
    """Linear scaling divides positions: Chen et al., 2023, https://arxiv.org/abs/2306.15595.

    Attributes:
      factor: the factor by which texts may be longer.
    """

    factor: float
    amplitude: ClassVar[float] = 1.0

    def frequencies(self, periods: Numbers, theta: float) -> Numbers:
        """Return each pair's radians per position.

        Args:
          periods: positions per radian of each pair, unscaled.
          theta: the base of the frequencies.
        """
        return 1 / periods / np.float32(self.factor)


@dataclasses.dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's scaling slows down slow pairs: https://arxiv.org/abs/2407.21783.

    Attributes:
      factor: the divisor of the slowest pairs' frequencies.
      low_frequency: a pair with at most this many turns within the original length is among the
        slowest.
      high_frequency: a pair with at least this many turns within the original length is unchanged.
      original_length: the longest text before the scaling.
    """

    factor: float
    low_frequency: float
    high_frequency: float
    original_length: int
    amplitude: ClassVar[float] = 1.0

    def frequencies(self, periods: Numbers, theta: float) -> Numbers:
        """Return each pair's radians per position.

        Args:
          periods: positions per radian of each pair, unscaled.
          theta: the base of the frequencies.
        """
        plain = 1 / periods
        factor = np.float32(self.factor)
        wavelengths = np.float32(2 * math.pi) / plain
        turns = np.float32(self.original_length) / wavelengths
        span = np.float32(self.high_frequency - self.low_frequency)
        share = (turns - np.float32(self.low_frequency)) / span
        between = (1 - share) * plain / factor + share * plain
        slow = wavelengths > np.float32(self.original_length / self.low_frequency)
        fast = wavelengths < np.float32(self.original_length / self.high_frequency)
        return np.where(slow, plain / factor, np.where(fast, plain, between))


@dataclasses.dataclass(frozen=True)
class YarnScaling:
    """YaRN slows down slow pairs and lengthens all: https://arxiv.org/abs/2309.00071.

    Attributes:
      factor: the divisor of the slowest pairs' frequencies.
      original_length: the longest text before the scaling.
      amplitude: the factor of queries and keys.
      fast_turns: a pair with at least this many turns within the original length is unchanged.
      slow_turns: a pair with at most this many turns is among the slowest.
      truncate: whether the two limits are rounded to whole pairs.
    """

    factor: float
    original_length: int
    amplitude: float
    fast_turns: float = 32.0
    slow_turns: float = 1.0
    truncate: bool = True

    def frequencies(self, periods: Numbers, theta: float) -> Numbers:
        """Return each pair's radians per position.

        Args:
          periods: positions per radian of each pair, unscaled.
          theta: the base of the frequencies.
        """
        low, high = self._limits(2 * len(periods), theta)
        numbers = np.arange(len(periods), dtype=np.float32)
        slow = np.clip((numbers - np.float32(low)) / np.float32(high - low), 0, 1)
        unchanged = 1 - slow
        return 1 / (np.float32(self.factor) * periods) * (1 - unchanged) + 1 / periods * unchanged

    def _limits(self, head_dim: int, theta: float) -> tuple[float, float]:
        """Return the numbers of the last unchanged pair and of the first among the slowest."""

        def pair(turns: float) -> float:
            length = self.original_length / (turns * 2 * math.pi)
            return head_dim * math.log(length) / (2 * math.log(theta))

        low, high = pair(self.fast_turns), pair(self.slow_turns)
        if self.truncate:
            low, high = float(math.floor(low)), float(math.ceil(high))
        low, high = max(low, 0.0), min(high, head_dim - 1.0)
        return low, high + 0.001 if low == high else high


RotaryScaling = LinearScaling | Llama3Scaling | YarnScaling


def rotary_frequencies(head_dim: int, theta: float, scaling: RotaryScaling | None) -> Numbers:
    """Return the radians per position of each pair of a head, float32 `[Dh / 2]`."""
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    # The power is in float64: NumPy's float32 power differs from PyTorch's in the last bit.
    periods = np.power(float(theta), exponents.astype(np.float64)).astype(np.float32)
    return 1 / periods if scaling is None else scaling.frequencies(periods, theta)


def rotary_tables(
    positions: Int[Array, "B T"],
    head_dim: int,
    theta: float,
    scaling: RotaryScaling | None = None,
) -> Tables:
    """Return the cosines and sines of the angles of each pair, in float32.

    Args:
      positions: of the tokens.
      head_dim: width of a head, `Dh`.
      theta: the base; pair i of a head turns by `theta ** (-2 i / Dh)` radians per position.
      scaling: the scaling of these frequencies; None for none.

    Returns:
      Two tables `[B, T, Dh / 2]`.
    """
    frequencies = jnp.asarray(rotary_frequencies(head_dim, theta, scaling))
    angles = positions.astype(jnp.float32)[:, :, None] * frequencies[None, None, :]
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    if scaling is None or scaling.amplitude == 1:
        return cos, sin
    return cos * scaling.amplitude, sin * scaling.amplitude


def rotate(x: Float[Array, "B T H Dh"], tables: Tables) -> Float[Array, "B T H Dh"]:
    """Rotate pairs of one element from each half of a head, the layout of Hugging Face.

    Args:
      x: queries or keys, `[B, T, H, Dh]`.
      tables: from `rotary_tables`.

    Returns:
      `[B, T, H, Dh]` in the dtype of `x`; computed in float32.
    """
    cos, sin = (table[:, :, None, :] for table in tables)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    rotated = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(rotated, axis=-1).astype(x.dtype)
