"""The settings of generation, and checks of their values."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from fsl_jax.models.generation.sampling import Sampling
from fsl_jax.ranges import MAX_INT32, SEED, in_range, range_problems, real, whole
from fsl_jax.validation import brief

_COUNT = whole(1, MAX_INT32)
_ROWS = whole(1, 2**16)
_LEAST_TEMPERATURE = 1e-6
_LISTS = ("stop", "stop_tokens")


@dataclasses.dataclass(frozen=True)
class GenerationSettings:
    """The settings of `generate`, which documents them."""

    max_new_tokens: int = in_range(64, _COUNT)
    temperature: float = in_range(0.0, real(0, 1e6))
    top_k: int | None = in_range(None, _COUNT)
    top_p: float | None = in_range(None, real(maximum=1, above=0))
    min_p: float | None = in_range(None, real(0, 1))
    repetition_penalty: float = in_range(1.0, real(1e-6, 1e6))
    num_beams: int = in_range(1, _ROWS)
    length_penalty: float = in_range(1.0, real(-10, 10))
    num_return_sequences: int = in_range(1, _ROWS)
    # Values of other kinds are problems, which say what is expected.
    stop: Any = ()
    stop_tokens: Any = ()
    chat: bool = False
    seed: int = in_range(0, SEED)
    batch_size: int = in_range(8, _ROWS)
    skip_blank: bool = False

    def __post_init__(self):
        # Numbers from NumPy become those of Python. An iterator can be read only once.
        for field in dataclasses.fields(self):
            value = plain(getattr(self, field.name))
            if field.name in _LISTS and _is_series(value):
                value = tuple(map(plain, value))
            object.__setattr__(self, field.name, value)

    @property
    def copies(self) -> int:
        """The number of rows that continue each prompt."""
        return max(self.num_beams, self.num_return_sequences)

    @property
    def sampling(self) -> Sampling:
        """The steps for choosing tokens, with numbers as float32 arrays."""

        def number(value: float | None) -> jnp.ndarray | None:
            return None if value is None else jnp.float32(value)

        return Sampling(
            temperature=number(self.temperature or None),
            top_k=self.top_k,
            top_p=number(self.top_p),
            min_p=number(self.min_p),
            repetition_penalty=None
            if self.repetition_penalty == 1
            else number(self.repetition_penalty),
        )

    def problems(self) -> list[str]:
        """List the problems that can be found without a model; one line each."""
        return [*range_problems(self), *self._stop_problems(), *self._incompatible()]

    def _stop_problems(self) -> list[str]:
        if isinstance(self.stop, str):
            return [f"stop is the string {self.stop!r}; expected a sequence of strings"]
        if not _is_series(self.stop):
            return [f"stop is {brief(self.stop)}; expected a sequence of strings"]
        if not all(isinstance(each, str) and each for each in self.stop):
            return [f"stop is {list(self.stop)}; expected strings that are not empty"]
        return []

    def _incompatible(self) -> list[str]:
        problems, greedy, beams = [], self.temperature == 0, self.num_beams > 1
        if 0 < self.temperature < _LEAST_TEMPERATURE:
            problems.append(
                f"temperature = {self.temperature}: give 0, which takes the likeliest token, or at "
                f"least {_LEAST_TEMPERATURE}"
            )
        for name in ("top_k", "top_p", "min_p"):
            if greedy and getattr(self, name) is not None:
                problems.append(f"{name} is given and temperature is 0: sample at one above 0")
        if beams and self.num_return_sequences > self.num_beams:
            problems.append(
                f"num_return_sequences is {self.num_return_sequences}, more than num_beams, which "
                f"is {self.num_beams}"
            )
        if greedy and not beams and self.num_return_sequences > 1:
            problems.append(
                f"num_return_sequences is {self.num_return_sequences} and the likeliest "
                "continuation is one: give num_beams, or a temperature above 0"
            )
        if not beams and self.length_penalty != 1:
            problems.append(f"length_penalty is {self.length_penalty} without num_beams above 1")
        return problems


def plain(value: Any) -> Any:
    """Return a number or a text of NumPy as one of Python, and any other value as it is.

    Args:
      value: any value.
    """
    return value.item() if isinstance(value, np.generic) else value


def _is_series(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
