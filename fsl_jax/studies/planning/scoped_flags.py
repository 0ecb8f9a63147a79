"""Read the flags of a study that may differ by model and method."""

import dataclasses
import itertools
from typing import Any

from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.ranges import range_of
from fsl_jax.studies.planning.scoped_list import ScopedList, parse_scoped_list
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.planning.written_method import WrittenMethod


@dataclasses.dataclass(frozen=True)
class ScopedFlags:
    """The values of flags for each model and method.

    Attributes:
      methods: the methods.
      learning_rates: the learning rates to choose from; empty for the defaults of each method.
      steps: the number of optimiser steps of a run.
      batch_sizes: the number of examples per step.
    """

    methods: ScopedList[WrittenMethod]
    learning_rates: ScopedList[float]
    steps: ScopedList[int]
    batch_sizes: ScopedList[int]

    def methods_for(self, model: str) -> tuple[WrittenMethod, ...]:
        """Return the methods for all models and for this model, each once."""
        fitting = [entry.value for entry in self.methods.entries if entry.applies_to(model)]
        return tuple(dict.fromkeys(fitting))

    def learning_rates_for(self, model: str, written: WrittenMethod) -> tuple[float, ...]:
        """Return the learning rates of a method; by default those of the method itself.

        Raises:
          InputError: two rates are the same number, perhaps written in two ways.
        """
        rates = self.learning_rates.values_for(*_names(model, written))
        _require_distinct_rates(rates, model, written)
        return rates or written.method.learning_rates

    def steps_for(self, model: str, written: WrittenMethod) -> int:
        """Return the number of steps; raise an error if there is not exactly one."""
        return _one_number("steps", self.steps, model, written)

    def batch_size_for(self, model: str, written: WrittenMethod) -> int:
        """Return the batch size; raise an error if there is not exactly one."""
        return _one_number("batch_size", self.batch_sizes, model, written)


def read_scoped_flags(config: StudyConfig) -> ScopedFlags:
    """Read the lists of a config and check them against each other.

    Args:
      config: the study's config.

    Returns:
      The flags, with methods parsed.

    Raises:
      InputError: a list cannot be read, an entry is for a model or method that the study does not
        have, a model has no method, or it has a method twice in two spellings.
    """
    flags = ScopedFlags(
        methods=parse_scoped_list(config.methods, WrittenMethod.parse, "methods"),
        learning_rates=_read_numbers(config, "learning_rates"),
        steps=_read_numbers(config, "steps"),
        batch_sizes=_read_numbers(config, "batch_size"),
    )
    _require_known_scopes(flags, config.models)
    _require_methods(flags, config.models)
    _require_distinct_methods(flags, config.models)
    return flags


def _read_numbers(config: StudyConfig, name: str) -> ScopedList[Any]:
    """Read a list of numbers, which the config has checked."""
    text, accepted = getattr(config, name), range_of(StudyConfig, name)
    if not text or accepted is None:
        return ScopedList(())
    return parse_scoped_list(text, accepted.read, name)


def _require_known_scopes(flags: ScopedFlags, models: tuple[str, ...]) -> None:
    """Raise an error if an entry is for a model or method that the study does not have."""
    known = set(models)
    for model in models:
        for written in flags.methods_for(model):
            known.update(_names(model, written))
    lists: tuple[ScopedList[Any], ...] = tuple(vars(flags).values())
    unknown = sorted(set().union(*(scoped.scope_names() for scoped in lists)) - known)
    if unknown:
        raise unknown_name("model or method before a colon", unknown[0], known)


def _require_methods(flags: ScopedFlags, models: tuple[str, ...]) -> None:
    """Raise an error that lists the models without a method."""
    idle = [model for model in dict.fromkeys(models) if not flags.methods_for(model)]
    if idle:
        raise problems_error("models without a method; name one, or leave the model out:", idle)


def _require_distinct_methods(flags: ScopedFlags, models: tuple[str, ...]) -> None:
    """Raise an error that lists the methods that a model has twice, in two spellings."""
    problems = [
        f"{first.text} and {second.text}, for {model}"
        for model in dict.fromkeys(models)
        for first, second in itertools.combinations(flags.methods_for(model), 2)
        if first.method == second.method
    ]
    if problems:
        raise problems_error("--methods: the same method twice; name it once:", problems)


def _require_distinct_rates(rates: tuple[float, ...], model: str, written: WrittenMethod) -> None:
    """Raise an error if two learning rates are equal in float32, with which a program runs."""
    accepted = range_of(StudyConfig, "learning_rates")
    twice = [
        f"{first} and {second}"
        for first, second in itertools.combinations(rates, 2)
        if accepted is not None and accepted.narrowed(first) == accepted.narrowed(second)
    ]
    if twice:
        raise InputError(
            f"--learning_rates: the same number twice for {written.text} with {model}: "
            f"{', '.join(dict.fromkeys(twice))}. Give it once"
        )


def _names(model: str, written: WrittenMethod) -> tuple[str, str, str]:
    """Return the names that the scope of an entry for this model and method may have."""
    return model, written.text, written.method.name


def _one_number(flag: str, numbers: ScopedList[int], model: str, written: WrittenMethod) -> int:
    values = numbers.values_for(*_names(model, written))
    if len(values) != 1 or values[0] < 1:
        raise InputError(
            f"--{flag}: expected one number of at least 1 for {written.text} with {model}, "
            f"found {', '.join(map(str, values)) or 'none'}"
        )
    return values[0]
