"""The settings of generation, and checks of their values."""

import dataclasses
import math
from collections.abc import Sequence

import jax.numpy as jnp

from fsl_jax.models.generation.sampling import Sampling


@dataclasses.dataclass(frozen=True)
class GenerationSettings:
    """The settings of `generate`, which documents them."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float
    num_beams: int
    length_penalty: float
    num_return_sequences: int
    stop: Sequence[str]
    stop_tokens: Sequence[int | str]
    chat: bool
    seed: int
    batch_size: int

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
        return [*self._out_of_range(), *self._incompatible()]

    def _out_of_range(self) -> list[str]:
        problems = [
            f"{name} is {getattr(self, name)}; expected at least 1"
            for name in ("max_new_tokens", "num_beams", "num_return_sequences", "batch_size")
            if getattr(self, name) < 1
        ]
        if self.top_k is not None and self.top_k < 1:
            problems.append(f"top_k is {self.top_k}; expected at least 1, or None")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            problems.append(
                f"temperature is {self.temperature}; expected 0 (the likeliest) or more"
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            problems.append(f"top_p is {self.top_p}; expected above 0 and at most 1, or None")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            problems.append(f"min_p is {self.min_p}; expected from 0 to 1, or None")
        if not (math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0):
            problems.append(
                f"repetition_penalty is {self.repetition_penalty}; expected above 0 (1 has no "
                "effect)"
            )
        if not math.isfinite(self.length_penalty):
            problems.append(f"length_penalty is {self.length_penalty}; expected a finite number")
        if isinstance(self.stop, str):
            problems.append(f"stop is the string {self.stop!r}; expected a sequence of strings")
        elif not all(isinstance(each, str) and each for each in self.stop):
            problems.append(f"stop is {list(self.stop)}; expected strings that are not empty")
        return problems

    def _incompatible(self) -> list[str]:
        problems, greedy, beams = [], self.temperature == 0, self.num_beams > 1
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
